"""Looks at a measurement that goes on until it is decided, with a false rate that holds over all looks together.

Whoever looks three times at a 95 % interval and stops at the first that decides is wrong more often than 5 %. So the
error is spent by looks (Lan & DeMets 1983): the first have wider intervals, the last one nearly the usual. Such repeated
intervals hold all at once (Jennison & Turnbull 1989), so a row may also be measured further after it was decided.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize, stats

from bench.verdict.documents import FEWEST_TO_BOOTSTRAP, LEVEL, RESAMPLES, Interval
from bench.verdict.regions import Region, Verdict, judge
from models.errors import InputError

Spending = Callable[[float, float], float]
"""Error of one side spent until a fraction of all units is measured: `(fraction, error)` -> from 0 to the error."""
BEYOND = 5
"""Resamples that must lie beyond each bound of a bootstrap interval."""
MOST_RESAMPLES = 100_000
NODES = 201
"""Nodes of the quadrature; 201 and 401 agree to ten digits."""


def obrien_fleming(fraction: float, error: float) -> float:
    """Error spent as O'Brien & Fleming's boundary does: hardly any before half of the units (Lan & DeMets 1983)."""
    return float(2 * stats.norm.sf(stats.norm.isf(error / 2) / math.sqrt(fraction)))


def quadratic(fraction: float, error: float) -> float:
    """Error spent with the square of the fraction (Kim & DeMets 1987): early looks may decide what is very clear."""
    return error * fraction**2


@dataclass(frozen=True)
class Looks:
    """Schedule of looks, fixed before anything is measured."""

    sizes: tuple[int, ...]
    """Documents or seeds at each look, in all; the last is the most there will be."""
    spending: Spending = obrien_fleming
    level: float = LEVEL
    """Confidence of all looks together."""

    def __post_init__(self) -> None:
        if not self.sizes or self.sizes[0] < 2 or list(self.sizes) != sorted(set(self.sizes)):
            raise InputError(f"looks at {self.sizes} units; sizes must rise, from at least 2")
        for look, size in enumerate(self.sizes, 1):
            if size >= FEWEST_TO_BOOTSTRAP and self.resamples(look) > MOST_RESAMPLES:
                raise InputError(
                    f"the look at {size} of {self.sizes[-1]} units has an interval of {self.confidence(look):.7f}, which "
                    f"{MOST_RESAMPLES:,} resamples cannot show; leave it out or spend the error faster"
                )

    def confidence(self, look: int) -> float:
        """Level of the interval at a look, counted from 1; of a single look it is the usual one."""
        if not 1 <= look <= len(self.sizes):
            raise InputError(f"look {look} of {len(self.sizes)}; looks are counted from 1")
        if len(self.sizes) == 1:
            return self.level
        fractions = tuple(size / self.sizes[-1] for size in self.sizes)
        return 1 - 2 * float(stats.norm.sf(boundaries(fractions, self.spending, 1 - self.level)[look - 1]))

    def resamples(self, look: int) -> int:
        """Resamples with which a bootstrap shows the bounds at a look's level; the usual number at least."""
        return max(RESAMPLES, math.ceil(2 * BEYOND / (1 - self.confidence(look))))


@cache
def boundaries(fractions: tuple[float, ...], spending: Spending, error: float) -> tuple[float, ...]:
    """Standard normal values that the estimate over its error must exceed at each look, on either side.

    A sum of independent units is a Brownian motion at the fractions; its density among paths that no look has stopped
    is carried from look to look by quadrature (Armitage, McPherson & Rowe 1969).

    Args:
        fractions: of all units, rising to 1.
        spending: of each side's error.
        error: over all looks, both sides together.
    """
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    places, mass, before, spent = np.zeros(1), np.ones(1), 0.0, 0.0
    values = []
    for fraction in fractions:
        step, share = math.sqrt(fraction - before), 2 * spending(fraction, error / 2) - spent

        def excess(z: float, bound: float = math.sqrt(fraction), step: float = step, share: float = share) -> float:
            beyond = stats.norm.sf((z * bound - places) / step) + stats.norm.sf((z * bound + places) / step)
            return math.log(max(float(mass @ beyond), 1e-300) / share)

        value = float(optimize.brentq(excess, 0.1, 30, xtol=1e-12))
        values.append(value)
        reach = value * math.sqrt(fraction)
        moved = reach * nodes
        density = stats.norm.pdf((moved[:, None] - places) / step) / step @ mass
        places, mass, before, spent = moved, density * weights * reach, fraction, spent + share
    return tuple(values)


def decided(interval: Interval, region: Region) -> bool:
    """True where the interval lies inside the region or outside it: the row needs no further look."""
    return judge(interval, region) is not Verdict.INCONCLUSIVE


@dataclass(frozen=True)
class Outcome:
    """Interval at the look that was the last, and which look that was."""

    interval: Interval
    verdict: Verdict
    level: float
    units: int
    look: int
    looks: int

    def __str__(self) -> str:
        return f"{self.interval} at {self.level:.2%}, {self.units} units, look {self.look} of {self.looks}"


def measure_in_looks(looks: Looks, region: Region, measure: Callable[[int, float, int], Interval]) -> Outcome:
    """Outcome of the first look that decides, or of the last.

    Args:
        looks: schedule.
        region: where the claim holds.
        measure: from units, the interval's level and resamples to the interval of the first so many units. Units must
            come in an order that was fixed beforehand, and a look keeps those of the looks before it.
    """
    for look, units in enumerate(looks.sizes, 1):
        level = looks.confidence(look)
        interval = measure(units, level, looks.resamples(look))
        if decided(interval, region):
            break
    return Outcome(interval, judge(interval, region), level, units, look, len(looks.sizes))
