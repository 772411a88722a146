"""Arrays on record: to full precision."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from bench.verdict.entries import Origin, Result, Variant
from bench.verdict.lines import (
    FORMAT,
    DamagedRecord,
    check_format,
    clean,
    decoded,
    encoded,
    line_of,
    result_of,
    variant_of,
)

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


VARIANT = Variant("w4", "i", {"bits": 4}, "m:T", ["m:f"], "c", Origin(effort="quick"), {"kl": np.ones(2, np.float32)})


@pytest.mark.parametrize(
    ("entry", "kind"), [(Result("r", "LC1", "a", "reproduced"), "row"), (VARIANT, "variant"), ({"run": "x"}, "run")]
)
def test_every_line_tells_its_kind_and_is_one_line_of_plain_text(entry, kind):
    line = line_of(entry)
    assert line.endswith("\n") and line.count("\n") == 1
    assert json.loads(line)["kind"] == kind


def test_letters_are_written_as_they_are():
    assert "α ≥ 1" in line_of({"run": "α ≥ 1"})


def test_a_variants_arrays_are_written_once_and_packed():
    written = json.loads(line_of(VARIANT))
    assert written["arrays"] == {"kl": {"dtype": "float32", "shape": [2], "values": [1.0, 1.0]}}
    assert written["settings"] == {"bits": 4} and written["origin"]["effort"] == "quick"
    back = variant_of(written | {"of a later version": 1})
    assert replace(back, arrays={}) == replace(VARIANT, arrays={})
    np.testing.assert_array_equal(back.arrays["kl"], VARIANT.arrays["kl"])


def test_a_float32_is_written_with_the_fewest_digits_that_give_it_again():
    assert encoded(np.array([0.1, 1e-9], dtype=np.float32))["values"] == [0.1, 1e-9]
    assert encoded(np.array([0.1], dtype=np.float64))["values"] == [0.1]
    assert encoded(np.array([1, 2]))["values"] == [1, 2] and encoded(np.array([True]))["values"] == [True]
    assert encoded(np.array([np.nan, np.inf, -np.inf]))["values"] == [None, "inf", "-inf"]


def test_fields_that_are_not_known_are_left_out_and_a_part_may_be_missing():
    row = result_of({"row": "r", "claim": "LC1", "verdict": "reproduced", "of a later version": 1})
    assert row == Result("r", "LC1", "", "reproduced")
    with pytest.raises(ValueError, match="hardly"):
        result_of({"row": "r", "claim": "LC1", "verdict": "hardly"})


@pytest.mark.parametrize("entry", [{}, {"format": 1}, {"format": FORMAT}])
def test_formats_up_to_this_versions_are_read(entry, tmp_path):
    check_format(entry, tmp_path)
    with pytest.raises(DamagedRecord, match=f"format {FORMAT + 1}"):
        check_format({"format": FORMAT + 1}, tmp_path)


def test_what_json_cannot_hold_is_none_at_any_depth():
    value = {1: [np.inf, (2.0, -np.inf)], "b": {"c": np.nan, "d": "x", "e": None, "f": 3}}
    assert clean(value) == {"1": [None, [2.0, None]], "b": {"c": None, "d": "x", "e": None, "f": 3}}
