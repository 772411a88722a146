"""Units of the trials are what they are said to be."""

import numpy as np
import pytest

from bench.verdict.trials import heavy, normal, paired, skewed


@pytest.mark.parametrize("draw", [normal, heavy, paired, skewed], ids=lambda draw: draw.__name__)
def test_units_have_mean_zero_and_variance_one(draw):
    """The variance of heavy units converges slowly: its mean over a million is within a quarter."""
    units = draw(np.random.default_rng(0), (1_000_000,))
    assert units.mean() == pytest.approx(0, abs=0.005)
    assert units.var() == pytest.approx(1, rel=0.25)
