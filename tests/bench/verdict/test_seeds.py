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
    seeds_to_decide,
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


def test_more_seeds_for_less_difference():
    generator = np.random.default_rng(3)
    first, second = generator.normal(0, 1, 5), generator.normal(0.3, 1, 5)
    assert seeds_to_decide(first, second + 10) == 5
    assert seeds_to_decide(first, first) == 10**6


def test_refusals():
    with pytest.raises(ValueError, match="at least 2"):
        difference(np.ones(1), np.ones(3))
    with pytest.raises(ValueError, match="no spread"):
        deviation_ratio(np.ones(4), np.arange(4.0))
    with pytest.raises(ValueError, match="not finite"):
        difference(np.array([1, np.nan]), np.ones(3))
    with pytest.raises(ValueError, match="one weight"):
        contrast([np.ones(2)], [1, 2])
