"""Rates of compression, and the largest at which quality is kept."""

from __future__ import annotations

from collections.abc import Mapping

from bench.survey.lab import Scored
from bench.verdict.documents import Interval
from bench.verdict.regions import Region

WIDE = 32
"""Bits of a weight that rates are counted from."""
KEPT = Region(high=1.05)
"""Perplexities over the dense model's at which quality counts as kept."""


def largest_rate(rates: Mapping[float, Interval], kept: Region = KEPT) -> Interval:
    """Largest rate at which quality is kept, the dense model's 1 where it is at none.

    The estimate is of the rates whose perplexity's estimate is kept; the lower bound of those whose whole interval is,
    the upper of those of whose interval a part is.

    Args:
        rates: perplexity over the dense model's, by the rate.
        kept: where quality counts as kept.
    """

    def most(bound: str) -> float:
        return max([1.0, *(rate for rate, ratio in rates.items() if getattr(ratio, bound) <= kept.high)])

    return Interval(most("value"), most("high"), most("low"))


def rate_of(scored: Scored) -> float:
    """Rate of compression: 32 bits a weight over those that the codes take."""
    return WIDE / scored.bits_per_weight
