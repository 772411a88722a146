"""Intervals over seeds hold their level, and equal scipy's where scipy has them."""

import numpy as np
import pytest
from scipy import stats

from bench.verdict.seeds import (
    contrast,
    deviation_ratio,
    difference,
    far_out,
    low_outliers,
    share_lost,
)


def test_difference_is_welchs():
    generator = np.random.default_rng(0)
    first, second = generator.normal(1, 1, 5), generator.normal(0, 3, 9)
    interval = difference(first, second)
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert difference(first, first + 2).value == pytest.approx(-2)
    assert difference(np.ones(3), np.ones(3)).high == 0


def test_contrast_of_three():
    groups = [np.array([1.0, 2, 3]), np.array([2.0, 2.5, 3]), np.array([0.0, 1, 5])]
    interval = contrast(groups, [1, -2, 1])
    assert interval.value == pytest.approx(2 - 5 + 2)
    assert interval.low < interval.value < interval.high


def test_share_lost_is_of_the_distance_to_chance():
    whole, part = np.array([39.0, 41.0, 40.0]), np.array([36.0, 38.0, 37.0])
    assert share_lost(whole, part, floor=10.0).value == pytest.approx(0.1)
    assert share_lost(whole, whole + 3, floor=10.0).value == pytest.approx(-0.1)
    with pytest.raises(ValueError, match="not above chance"):
        share_lost(whole, part, floor=40.0)


def test_share_lost_covers():
    generator = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        whole, part = generator.normal(45, 2, 8), generator.normal(41, 3, 8)
        interval = share_lost(whole, part, floor=5.0)
        held += interval.low <= 0.1 <= interval.high
    assert 0.92 <= held / 400 <= 0.98


def test_runs_far_out_are_those_that_failed():
    losses = np.random.default_rng(0).normal(4.4, 0.03, 40)
    assert far_out(losses) == 0
    assert far_out(np.append(losses, 5.5)) == 1 and far_out(np.append(losses, np.nan)) == 1
    assert far_out(np.append(losses, 3.0)) == 0 and far_out(np.full(3, np.nan)) == 3


@pytest.mark.parametrize("draw", ["normal", "laplace", "uniform"])
def test_spread_ratio_covers(draw):
    generator = np.random.default_rng(1)
    trials = 400
    hits = 0
    for _ in range(trials):
        first, second = (getattr(generator, draw)(size=10) for _ in range(2))
        interval = deviation_ratio(3 * first, second)
        hits += interval.low <= 3 <= interval.high
    # 95 % with a binomial error of 1.1 %; the jackknife is known to be a little short for long tails.
    assert hits / trials > 0.90


def test_spread_ratio_of_itself_and_scaled():
    values = np.random.default_rng(2).normal(size=12)
    assert deviation_ratio(values, values + 5).value == pytest.approx(1)
    assert deviation_ratio(4 * values, values).value == pytest.approx(4)


def test_outliers():
    group = np.array([0.5, 0.51, 0.52, 0.53, 0.54, 0.1])
    share, count = low_outliers([group, np.append(group, 0.9)])
    assert (share.value, count) == (pytest.approx(2 / 3), 3)
    assert low_outliers([np.linspace(0, 1, 9)]) is None


def test_refusals():
    with pytest.raises(ValueError, match="at least 2"):
        difference(np.ones(1), np.ones(3))
    with pytest.raises(ValueError, match="no spread"):
        deviation_ratio(np.ones(4), np.arange(4.0))
    with pytest.raises(ValueError, match="not finite"):
        difference(np.array([1, np.nan]), np.ones(3))
    with pytest.raises(ValueError, match="one weight"):
        contrast([np.ones(2)], [1, 2])


@pytest.mark.parametrize("weights", [[1, -2, 1], [0.5, 3.0, -0.25]])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_a_contrast_is_its_definition(weights, level):
    """Weighted means, errors as squares, and Welch and Satterthwaite's degrees of freedom."""
    groups = [np.random.default_rng(n).normal(n, n, n) for n in (3, 5, 8)]
    errors = [weight**2 * group.var(ddof=1) / len(group) for group, weight in zip(groups, weights, strict=True)]
    freedom = sum(errors) ** 2 / sum(error**2 / (len(g) - 1) for g, error in zip(groups, errors, strict=True))
    half = stats.t.ppf((1 + level) / 2, freedom) * sum(errors) ** 0.5
    value = sum(weight * group.mean() for group, weight in zip(groups, weights, strict=True))
    found = contrast(groups, weights, level=level)
    assert (found.value, found.low, found.high) == tuple(map(pytest.approx, (value, value - half, value + half)))
    assert contrast(groups, weights) == contrast(groups, weights, level=0.95)


@pytest.mark.parametrize(("first", "second"), [(5, 9), (3, 3)])
def test_a_ratio_of_deviations_is_millers_jackknife(first, second):
    groups = [np.random.default_rng(n).normal(0, n, n) for n in (first, second + 1)]
    values, errors = [], []
    for group in groups:
        n = len(group)
        left_out = [np.log(np.delete(group, i).var(ddof=1)) for i in range(n)]
        pseudo = n * np.log(group.var(ddof=1)) - (n - 1) * np.array(left_out)
        values.append(pseudo.mean())
        errors.append(pseudo.var(ddof=1) / n)
    freedom = sum(errors) ** 2 / sum(error**2 / (len(g) - 1) for g, error in zip(groups, errors, strict=True))
    half, value = stats.t.ppf(0.975, freedom) * sum(errors) ** 0.5, values[0] - values[1]
    found = deviation_ratio(*groups)
    expected = np.exp(np.array([value, value - half, value + half]) / 2)
    assert (found.value, found.low, found.high) == tuple(map(pytest.approx, expected))


def test_two_seeds_have_no_spread_of_their_own():
    with pytest.raises(ValueError, match="at least 3"):
        deviation_ratio(np.arange(2.0), np.arange(5.0))
    deviation_ratio(np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0, 3.0]))


def test_the_error_of_a_lost_share_is_that_of_the_ratio_to_first_order():
    """By the delta method, with derivatives from differences."""
    whole, part = np.array([39.0, 41.0, 40.5, 38.0]), np.array([30.0, 33.0, 28.0])

    def share(a, b):
        return (a - b) / (a - 10)

    a, b, step = whole.mean(), part.mean(), 1e-4
    slopes = (
        (share(a + step, b) - share(a - step, b)) / (2 * step),
        (share(a, b + step) - share(a, b - step)) / (2 * step),
    )
    expected = contrast([whole, part], slopes)
    found = share_lost(whole, part, floor=10.0)
    assert found.value == pytest.approx(share(a, b))
    assert found.high - found.low == pytest.approx(expected.high - expected.low)
    assert found.high - found.value == pytest.approx(found.value - found.low)
    for floor in (whole.mean(), 50.0):
        with pytest.raises(ValueError, match="nothing to lose"):
            share_lost(whole, part, floor=floor)


def test_far_out_is_beyond_three_times_the_quartiles_distance():
    """Quartiles of 0 to 4 are 1 and 3, so 9 is the last that is not."""
    values = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    for last, count in ((9.0, 0), (9.2, 1)):
        stretched = np.array([0.0, 1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0, last])
        assert far_out(stretched) == count
    assert far_out(values) == 0
    assert far_out(np.append(values, [np.inf, np.nan, -np.inf])) == 3
    assert far_out(np.array([np.nan, 1.0])) == 1


def test_outliers_are_counted_on_both_sides_of_every_group():
    """Quartiles 1 and 3: the fences are at -2 and 6, and what lies on them is inside."""
    group = np.array([-2.0, 1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0, 6.0])
    assert low_outliers([group]) is None
    low, high = group.copy(), group.copy()
    low[0], high[-1] = -2.1, 6.1
    share, count = low_outliers([low])
    assert (share.value, count) == (1.0, 1)
    share, count = low_outliers([low, high, high, group])
    expected = stats.binomtest(1, 3).proportion_ci()
    assert (share.value, count) == (pytest.approx(1 / 3), 3)
    assert (share.low, share.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    share, count = low_outliers([high])
    assert (share.value, count) == (0.0, 1)


@pytest.mark.parametrize("bad", [np.ones((2, 2)), np.ones(1), np.float64(1.0)])
def test_what_is_no_group_of_seeds_is_refused(bad):
    with pytest.raises(ValueError, match="no group of at least 2 seeds"):
        contrast([np.arange(3.0), bad], [1, 1])


def test_without_one_seed_there_must_be_a_spread_left():
    with pytest.raises(ValueError, match="no spread without one"):
        deviation_ratio(np.array([1.0, 1.0, 2.0]), np.arange(4.0))
