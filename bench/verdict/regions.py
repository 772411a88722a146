"""Verdict from an interval and an acceptance region.

The regions are fixed here and beside the rows, before anything is measured; no result changes them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from bench.verdict.documents import Interval


class Verdict(Enum):
    """Outcome of a row, a part or a claim."""

    REPRODUCED = "reproduced"
    PARTLY_REPRODUCED = "partly reproduced"
    """Only claims: some parts are reproduced and some are not."""
    NOT_REPRODUCED = "not reproduced"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Region:
    """Values of a statistic for which a claim holds, ends included."""

    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"a region from {self.low} to {self.high} is empty")

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"≥ {self.low:g}"
        return f"≤ {self.high:g}" if math.isinf(self.low) else f"{self.low:g} to {self.high:g}"


UNCHANGED = Region(0.8, 1.25)
"""Equivalence of two levels: within a quarter, the same in both directions (the bioequivalence band)."""
GROWS = Region(low=1.0)
GROWS_CLEARLY = Region(low=1.25)
"""Growth that leaves the equivalence band."""
PER_DOUBLING = 1.25 ** (1 / 4)
"""Growth per doubling of context that over four doublings, 128 to 2,048 tokens, comes to the equivalence band's end."""
FLAT = Region(1 / PER_DOUBLING, PER_DOUBLING)
"""Growth per doubling of context that counts as none."""
GROWS_BEYOND_FLAT = Region(low=PER_DOUBLING)
"""Growth per doubling of context that is clearly none of flat."""
LINEAR = Region(0.8, 1.2)
"""An exponent that can be called 1."""


def judge(interval: Interval, region: Region) -> Verdict:
    """Verdict of an interval: reproduced if all of it lies in the region, not reproduced if none of it does.

    An interval inside an equivalence region at level 1 - 2a is two one-sided tests at level a.
    """
    if region.low <= interval.low and interval.high <= region.high:
        return Verdict.REPRODUCED
    if interval.high < region.low or interval.low > region.high:
        return Verdict.NOT_REPRODUCED
    return Verdict.INCONCLUSIVE
