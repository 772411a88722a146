"""Regions of acceptance, ends included, and where an interval lies."""

import math

import pytest

from bench.verdict.documents import Interval
from bench.verdict.regions import (
    FLAT,
    GROWS,
    GROWS_BEYOND_FLAT,
    GROWS_CLEARLY,
    LINEAR,
    PER_DOUBLING,
    UNCHANGED,
    Region,
    Verdict,
    judge,
)


@pytest.mark.parametrize(
    ("bounds", "region", "verdict"),
    [
        ((0.9, 1.1), UNCHANGED, Verdict.REPRODUCED),
        ((0.8, 1.25), UNCHANGED, Verdict.REPRODUCED),
        ((0.7, 1.1), UNCHANGED, Verdict.INCONCLUSIVE),
        ((0.9, 1.26), UNCHANGED, Verdict.INCONCLUSIVE),
        ((0.5, 0.8), UNCHANGED, Verdict.INCONCLUSIVE),
        ((1.25, 1.5), UNCHANGED, Verdict.INCONCLUSIVE),
        ((0.5, 0.79), UNCHANGED, Verdict.NOT_REPRODUCED),
        ((1.26, 1.5), UNCHANGED, Verdict.NOT_REPRODUCED),
        ((0.7, 1.3), UNCHANGED, Verdict.INCONCLUSIVE),
        ((1.0, 9.0), GROWS, Verdict.REPRODUCED),
        ((1.01, 9.0), GROWS, Verdict.REPRODUCED),
        ((0.99, 9.0), GROWS, Verdict.INCONCLUSIVE),
        ((0.5, 0.99), GROWS, Verdict.NOT_REPRODUCED),
        ((1.01, float("inf")), GROWS, Verdict.REPRODUCED),
        ((1.01, float("inf")), UNCHANGED, Verdict.INCONCLUSIVE),
    ],
)
def test_a_verdict_is_where_the_interval_lies(bounds, region, verdict):
    low, high = bounds
    assert judge(Interval(min(max(1.0, low), high), low, high), region) is verdict


@pytest.mark.parametrize(("low", "high"), [(2.0, 1.0), (1.0, 1.0), (math.nan, 1.0)])
def test_an_empty_region_is_refused(low, high):
    with pytest.raises(ValueError, match="empty"):
        Region(low, high)


def test_a_region_cannot_be_changed_once_it_is_declared():
    with pytest.raises(AttributeError):
        GROWS.low = 0.5


def test_four_flat_doublings_come_to_the_end_of_the_equivalence_band():
    assert PER_DOUBLING**4 == pytest.approx(UNCHANGED.high)
    assert (FLAT.low**4, FLAT.high**4) == pytest.approx((UNCHANGED.low, UNCHANGED.high))
    assert GROWS_BEYOND_FLAT == Region(low=FLAT.high)


def test_bands_of_equivalence_are_the_same_in_both_directions():
    assert UNCHANGED.low * UNCHANGED.high == pytest.approx(1)
    assert LINEAR.low + LINEAR.high == pytest.approx(2)
    assert (GROWS, GROWS_CLEARLY) == (Region(1.0, math.inf), Region(1.25, math.inf))


@pytest.mark.parametrize(
    ("region", "text"), [(Region(low=1.0), "≥ 1"), (Region(high=0.5), "≤ 0.5"), (UNCHANGED, "0.8 to 1.25")]
)
def test_a_region_is_told_by_its_ends(region, text):
    assert str(region) == text
