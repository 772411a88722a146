"""Ratios over seeds and documents: half-widths add as squares, and what cannot be averaged is refused."""

import numpy as np
import pytest
from scipy import stats

from bench.verdict.documents import (
    Interval,
    crossed_ratio,
    difference_ratio,
)


def test_a_ratio_of_seeds_and_documents_adds_their_half_widths_as_squares():
    rng = np.random.default_rng(3)
    first, second = rng.normal(1, 0.3, (4, 7)), rng.normal(0.5, 0.3, (4, 7))
    gap = first - second
    halves = [
        (stats.ttest_1samp(means, 0).confidence_interval().high - means.mean()) for means in (gap.mean(0), gap.mean(1))
    ]
    half = float(np.hypot(*halves))
    found = crossed_ratio(first, second)
    expected = np.exp([gap.mean(), gap.mean() - half, gap.mean() + half])
    assert (found.value, found.low, found.high) == tuple(pytest.approx(x) for x in expected)
    assert crossed_ratio(first, second, level=0.5).high < found.high
    assert crossed_ratio(first, second, level=0.95) == found


def test_one_seed_has_the_interval_of_its_documents():
    first, second = np.random.default_rng(3).normal(1, 0.3, (2, 1, 7))
    expected = difference_ratio(first[0], second[0])
    found = crossed_ratio(first, second)
    assert (found.value, found.low, found.high) == tuple(
        map(pytest.approx, (expected.value, expected.low, expected.high))
    )


@pytest.mark.parametrize(
    ("first", "second"), [((2, 3), (2, 4)), ((3,), (3,)), ((2, 1), (2, 1)), ((2, 3, 1), (2, 3, 1))]
)
def test_losses_of_other_shapes_are_refused(first, second):
    with pytest.raises(ValueError, match="both must be"):
        crossed_ratio(np.ones(first), np.ones(second))
    assert crossed_ratio(np.ones((2, 2)), np.ones((2, 2))) == Interval(1.0, 1.0, 1.0)


def test_a_run_that_diverged_is_refused():
    losses = np.ones((2, 3))
    losses[1, 2] = np.inf
    with pytest.raises(ValueError, match="cannot be averaged"):
        crossed_ratio(losses, np.ones((2, 3)))
