"""Arrays on record: to full precision."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from bench.verdict.lines import decoded, encoded

FLOATS = st.sampled_from([np.float32, np.float64]).flatmap(
    lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)
WHOLE = npst.arrays(np.int64, npst.array_shapes(max_dims=2, max_side=4)) | npst.arrays(np.bool_, (3,))


@given(FLOATS | WHOLE)
def test_arrays_come_back_bit_for_bit(values):
    """NaN, infinities, subnormals and negative zero among them."""
    back = decoded(json.loads(json.dumps(encoded(values))))
    assert back.dtype == values.dtype and back.shape == values.shape
    np.testing.assert_array_equal(back, values)
    if values.dtype.kind == "f":
        assert np.array_equal(np.signbit(back[~np.isnan(back)]), np.signbit(values[~np.isnan(values)]))
