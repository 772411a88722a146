"""Trials with a known truth: how often crossed intervals and looks are wrong, what they see, and what looks save.

Truth is a mean of ln ratios that lies exactly at the boundary of the region "at least 0", where a verdict is false most
often; then it is moved inside, for the power. Units are normal, or have the heavy tails of documents, or are skewed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.verdict.crossed import crossed_interval
from bench.verdict.documents import FEWEST_TO_BOOTSTRAP, RESAMPLES, Array, Interval, cluster_interval
from bench.verdict.looks import Looks, measure_in_looks, resamples_for
from bench.verdict.regions import Region, Verdict, judge

Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]
"""Units with mean 0 and variance 1, of a shape."""
INSIDE = Region(low=0.0)


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal units."""
    return rng.normal(size=shape)


def heavy(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Units of Student's t with three degrees of freedom: symmetric, and now and then one that outweighs the rest."""
    return rng.standard_t(3, size=shape) / math.sqrt(3)


def paired(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Differences of two lognormal units, of unlike spread: heavy and a little skewed, as paired documents are."""
    first, second = (_lognormal(rng, shape, sigma) for sigma in (1.0, 0.7))
    return (first - 0.7 * second) / math.hypot(1, 0.7)


def skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Lognormal units by themselves: skewness 6.2, the worst that a level without a pair comes to."""
    return _lognormal(rng, shape, 1.0)


def _lognormal(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Array:
    square = sigma**2
    units = rng.lognormal(0, sigma, shape)
    return (units - math.exp(square / 2)) / math.sqrt(math.expm1(square) * math.exp(square))


@dataclass(frozen=True)
class Rates:
    """Shares of the trials that end in each verdict on "at least 0", and what they took."""

    reproduced: float
    not_reproduced: float
    units: float
    """Mean number of units that were measured."""

    @property
    def covered(self) -> float:
        """Share of intervals that hold a truth of 0."""
        return 1 - self.reproduced - self.not_reproduced


def of_looks(looks: Looks, draw: Draw, truth: float, *, simulations: int, seed: int = 0) -> Rates:
    """Rates of the verdict after looks at units of standard deviation 1, by `cluster_interval` at each look's level."""
    rng = np.random.default_rng(seed)
    outcomes = []
    for number in range(simulations):
        units = draw(rng, (looks.sizes[-1], 1)) + truth
        outcomes.append(measure_in_looks(looks, INSIDE, partial(_of_first, units, number)))
    return _rates([one.verdict for one in outcomes], float(np.mean([one.units for one in outcomes])))


def of_crossed(
    sizes: tuple[int, ...],
    spreads: tuple[float, ...],
    draw: Draw,
    truth: float,
    *,
    interaction: float = 0.3,
    simulations: int,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Rates:
    """Rates of the verdict by `crossed_interval`.

    Args:
        sizes: levels of each factor, documents first.
        spreads: standard deviation over the levels of each factor.
        draw: the documents and the interaction; levels of other factors are normal.
        truth: mean that is judged.
        interaction: standard deviation of what each cell has of its own.
        simulations: how many.
        resamples: of factors with 12 levels or more.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    verdicts = []
    for number in range(simulations):
        values = truth + interaction * draw(rng, sizes)
        for axis, (size, spread) in enumerate(zip(sizes, spreads, strict=True)):
            shape = tuple(size if each == axis else 1 for each in range(len(sizes)))
            values = values + spread * (normal if axis else draw)(rng, shape)
        interval = crossed_interval(values, _first, factors=len(sizes), seed=number, resamples=resamples)
        verdicts.append(judge(interval, INSIDE))
    return _rates(verdicts, math.prod(sizes))


def _of_first(units: Array, seed: int, count: int, level: float) -> Interval:
    resamples = resamples_for(level) if count >= FEWEST_TO_BOOTSTRAP else RESAMPLES
    return cluster_interval(units[:count], _first, seed=seed, resamples=resamples, level=level)


def _first(means: Array) -> Array:
    return means[..., 0]


def _rates(verdicts: list[Verdict], units: float) -> Rates:
    inside, outside = (verdicts.count(one) / len(verdicts) for one in (Verdict.REPRODUCED, Verdict.NOT_REPRODUCED))
    return Rates(inside, outside, units)
