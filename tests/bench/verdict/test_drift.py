"""Growth per doubling of context: slopes, and slopes at equal level."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.verdict.documents import growth
from bench.verdict.drift import (
    brackets,
    growth_at_equal_level,
    growth_per_doubling,
    growth_per_doubling_ratio,
    log_fit,
    log_level,
    log_slope,
)

CONTEXTS = (128, 256, 1024, 4096)


def power_law(factor, level=1.0, contexts=CONTEXTS):
    """A curve that grows by `factor` with every doubling of context."""
    return level * factor ** np.log2(np.array(contexts) / contexts[0])


def documents(factor, level=1.0, n=9, seed=0):
    """Documents of one law and different heights."""
    heights = np.random.default_rng(seed).lognormal(0, 0.4, (n, 1))
    return heights * power_law(factor, level)


@given(st.floats(0.5, 2.0), st.floats(1e-4, 1e3))
def test_a_power_law_has_its_own_growth_at_any_level(factor, level):
    # Sums of a few logarithms in float64.
    assert np.exp(log_slope(CONTEXTS, power_law(factor, level))) == pytest.approx(factor, rel=1e-9)


@given(st.floats(0.5, 2.0))
def test_growth_per_doubling_does_not_depend_on_the_range(factor):
    short, long = (power_law(factor, contexts=contexts) for contexts in (CONTEXTS[:2], CONTEXTS))
    assert log_slope(CONTEXTS[:2], short) == pytest.approx(log_slope(CONTEXTS, long), abs=1e-9)


def test_over_two_contexts_it_is_the_growth_to_the_power_of_one_over_the_doublings():
    curves = np.random.default_rng(3).lognormal(0, 0.3, (15, 2))
    ours, theirs = growth_per_doubling(curves, (128, 2048)), growth(curves)
    for name in ("value", "low", "high"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name) ** (1 / 4), rel=1e-9)


def test_the_slope_is_that_of_numpys_least_squares():
    curve = np.random.default_rng(1).lognormal(0, 1, 4)
    slope = np.polynomial.polynomial.polyfit(np.log2(CONTEXTS), np.log(curve), 1)[1]
    assert log_slope(CONTEXTS, curve) == pytest.approx(slope, rel=1e-9)


def test_a_variant_grows_as_much_as_itself():
    curves = documents(1.1)
    interval = growth_per_doubling_ratio(curves, curves, CONTEXTS)
    assert interval.low == interval.value == interval.high == 1


def test_at_equal_level_a_strength_between_two_is_read_between_them():
    """Three strengths whose slopes rise with their level in a straight line; the variant has the middle's and more."""
    others = [documents(1.0, 0.1), documents(1.1, 10.0)]
    level = np.mean([float(log_level(other.mean(0))) for other in others])
    curve = documents(1.2)
    curve *= np.exp(level - log_level(curve.mean(0)))
    interval = growth_at_equal_level(curve, others, CONTEXTS)
    assert interval.value == pytest.approx(1.2 / 1.1**0.5, rel=1e-6)
    assert brackets(curve, others)


def test_the_order_of_strengths_does_not_matter():
    rng = np.random.default_rng(5)
    curve, *others = (rng.lognormal(level, 0.3, (8, 4)) for level in (0.1, -1.0, 0.5, 1.0))
    there, back = (growth_at_equal_level(curve, order, CONTEXTS) for order in (others, others[::-1]))
    assert (there.value, there.low, there.high) == (back.value, back.low, back.high)


def test_a_level_beyond_all_others_is_not_bracketed():
    others = [documents(1.0, 0.1), documents(1.0, 1.0)]
    assert not brackets(documents(1.0, 3.0), others)
    assert not brackets(documents(1.0, np.nan), others)


@given(st.floats(0.1, 5.0), st.floats(0.1, 5.0))
def test_the_better_law_has_the_smaller_residual(base, rise):
    lengths = np.array(CONTEXTS)
    assert log_fit(CONTEXTS, base + rise * lengths / 128) < 0
    assert log_fit(CONTEXTS, base + rise * np.log(lengths)) > 0


def test_residuals_are_those_of_numpys_fit():
    curve = np.random.default_rng(2).lognormal(0, 1, 4)
    lengths = np.array(CONTEXTS, dtype=float)
    residuals = [np.polyfit(axis, curve, 1, full=True)[1][0] for axis in (lengths, np.log(lengths))]
    assert log_fit(CONTEXTS, curve) == pytest.approx(np.log(residuals[0] / residuals[1]), rel=1e-6)


def test_levels_are_geometric_means():
    assert np.exp(log_level(np.array([[1.0, 4.0], [9.0, 1.0]]))).tolist() == [pytest.approx(2), pytest.approx(3)]


def test_one_law_over_another_grows_by_their_ratio():
    interval = growth_per_doubling_ratio(documents(1.2), documents(0.8), CONTEXTS)
    assert interval.value == pytest.approx(1.5)
    back = growth_per_doubling_ratio(documents(0.8), documents(1.2), CONTEXTS)
    assert back.value == pytest.approx(1 / 1.5)


@pytest.mark.parametrize("level", [1e-3, 1e3])
def test_beyond_the_ends_the_nearest_strengths_slope_is_taken(level):
    others = [documents(1.0, 0.1), documents(1.1, 1.0), documents(1.3, 10.0)]
    nearest = 1.0 if level < 1 else 1.3
    found = growth_at_equal_level(documents(1.2, level), others, CONTEXTS)
    assert found.value == pytest.approx(1.2 / nearest)
