"""Documents, seeds and time that would decide a row that is inconclusive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.verdict.crossed import CrossedInterval
from bench.verdict.documents import LEVEL, Interval
from bench.verdict.power import MOST, POWER, half_width, spread_of, units_to_decide
from bench.verdict.regions import Region

IF = f"({POWER:.0%} power, if mean and spread are what they seem)"


@dataclass(frozen=True)
class Needed:
    """Remedy for a row that is inconclusive."""

    words: str
    """To stand before "would decide"."""
    times: float = math.nan
    """Measuring that it takes, in times of what was done; NaN where that cannot be told."""
    at_most: bool = False
    """Whether it may take less, because not all of it grows with every factor."""


def what_would_decide(
    interval: Interval, units: int, region: Region, *, of: str = "documents", ratio: bool = True, level: float = LEVEL
) -> Needed:
    """Number of units that would decide a row that is inconclusive.

    Args:
        interval: as the row states it.
        units: that it was measured over.
        region: the row's.
        of: the units' name.
        ratio: the statistic is a ratio, whose logarithm has the errors that add.
        level: of the interval, and of the one to come.
    """
    if ratio:
        interval, region = interval.map(_ln), _logarithm(region)
    if not math.isfinite(interval.high - interval.low):
        return Needed(f"more {of} (how many cannot be told from an interval without end)")
    spread = spread_of(interval, units, level=level)
    needed = units_to_decide(interval.value, spread, region, level=level)
    if needed is None:
        return Needed(_none(of))
    needed = max(needed, units + 1)
    return Needed(f"about {needed:,} {of} {IF}", needed / units)


def which_would_decide(
    interval: CrossedInterval, region: Region, *, of: Sequence[str], ratio: bool = True, level: float = LEVEL
) -> Needed:
    """Number of units of one factor, the others as they are, that would decide a row with the least measuring.

    Where none does alone, as many times more of each.

    Args:
        interval: of `crossed_interval`, which knows its factors.
        region: the row's.
        of: names of the factors, in the order of their axes.
        ratio: the statistic is a ratio, whose logarithm has the errors that add.
        level: of the interval, and of the one to come.
    """
    if ratio:
        interval, region = interval.map(_ln), _logarithm(region)
    if not math.isfinite(interval.high - interval.low):
        return Needed(f"more {' and '.join(of)} (how many cannot be told from an interval without end)")
    halves = {axis: half_width(part) for axis, _, part in interval.factors}
    alone = []
    for axis, units, part in interval.factors:
        besides = math.hypot(*(half for other, half in halves.items() if other != axis))
        spread = spread_of(part, units, level=level)
        needed = units_to_decide(interval.value, spread, region, level=level, besides=besides)
        if needed is not None:
            needed = max(needed, units + 1)
            alone.append(Needed(f"about {needed:,} {of[axis]} {IF}", needed / units))
    return min(alone, key=lambda each: each.times) if alone else _more_of_each(interval, region, of, level)


def _more_of_each(interval: CrossedInterval, region: Region, of: Sequence[str], level: float) -> Needed:
    units = max(interval.factors, key=lambda factor: half_width(factor.interval)).units
    needed = units_to_decide(interval.value, spread_of(interval, units, level=level), region, level=level)
    if needed is None:
        return Needed(_none(" or ".join(of[factor.axis] for factor in interval.factors)))
    times = needed / units
    each = " and ".join(f"{math.ceil(times * factor.units):,} {of[factor.axis]}" for factor in interval.factors)
    return Needed(f"about {each} {IF}", times ** len(interval.factors), at_most=True)


def _none(of: str) -> str:
    return f"no number of {of} up to {MOST:,}, as the estimate lies at the boundary,"


def _logarithm(region: Region) -> Region:
    """Region on the scale on which errors of ratios add."""
    return Region(_ln(region.low), _ln(region.high))


def _ln(bound: float) -> float:
    return math.log(bound) if bound > 0 else -math.inf
