"""Power of a measurement before it is made: how many documents or seeds would decide a row.

Estimates, spreads and regions are on one scale, on which errors are added: ln of a ratio, or a difference as it is.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from bench.verdict.documents import LEVEL, Interval
from bench.verdict.regions import Region
from models.errors import InputError

POWER = 0.8
MOST = 10_000
"""Units that no corpus and no budget goes beyond."""
STRATA = 1000
"""Strata of the measured spread's distribution, each of equal probability."""


def power(value: float, spread: float, region: Region, units: int, *, level: float = LEVEL) -> float:
    """Probability that so many units decide the row, by Student's t interval: the right way, were the value true.

    Given the spread that a sample shows, the estimate is normal; that spread's distribution is averaged over. Inside a
    band it is the power of two one-sided tests, exact (Owen 1965), outside that of the nearest boundary.

    Args:
        value: true value of the statistic.
        spread: standard deviation over units; the estimate's error is this over the root of the units.
        region: where the claim holds.
        units: documents or seeds.
        level: of the two-sided interval.

    Raises:
        InputError: fewer than two units, or a spread that is negative or not finite.
    """
    if units < 2 or not 0 <= spread < math.inf:
        raise InputError(f"{units} unit(s) of spread {spread}; power needs at least 2 units and a finite spread")
    # Distance to a boundary of the half line or the band that would be concluded; both must be kept.
    below, above = value - region.low, region.high - value
    distances = np.array([below, above] if min(below, above) >= 0 else [-min(below, above)])
    error = spread / math.sqrt(units)
    if error == 0:
        return float((distances > 0).all())
    seen = np.sqrt(stats.chi2.ppf((np.arange(STRATA) + 0.5) / STRATA, units - 1) / (units - 1))
    half = stats.t.ppf((1 + level) / 2, units - 1) * seen
    kept = stats.norm.cdf(distances[:, None] / error - half)
    return float(np.maximum(kept.sum(0) - (len(distances) - 1), 0).mean())


def units_to_decide(
    value: float,
    spread: float,
    region: Region,
    *,
    level: float = LEVEL,
    at: float = POWER,
    besides: float = 0.0,
    most: int = MOST,
) -> int | None:
    """Fewest units that decide the row with a power; None where the value lies too near the boundary for any number.

    Args:
        value: what the statistic is, or is assumed to be.
        spread: standard deviation over units.
        region: where the claim holds.
        level: of the two-sided interval; with looks, that of the last.
        at: power.
        besides: half-width of the interval of the other factors, which more of these units leave as it is.
        most: units beyond which nothing is promised.
    """
    room = min(abs(value - region.low), abs(region.high - value))
    if room <= besides:
        return None
    # Half-widths add as squares: what the other factors take is gone from the distance to the boundary.
    spread *= room / math.sqrt(room**2 - besides**2)

    def enough(units: int) -> bool:
        return power(value, spread, region, units, level=level) >= at

    low, high = 1, 2
    while not enough(high):
        if high == most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def half_width(interval: Interval) -> float:
    """Distance of the estimate to the end that is further away."""
    return max(interval.value - interval.low, interval.high - interval.value)


def spread_of(interval: Interval, units: int, *, level: float = LEVEL) -> float:
    """Standard deviation over units that an interval over so many of them stands for; of unlike sides the longer."""
    return half_width(interval) * math.sqrt(units) / float(stats.t.ppf((1 + level) / 2, units - 1))


def power_table(
    values: list[float], spread: float, region: Region, sizes: list[int], *, level: float = LEVEL
) -> dict[float, dict[int, float]]:
    """Power by true value and number of units."""
    return {value: {units: power(value, spread, region, units, level=level) for units in sizes} for value in values}
