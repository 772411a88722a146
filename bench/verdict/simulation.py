"""Experiments with a known truth, to see how often the verdict engine is wrong.

Documents are made from measured ones: each simulated document takes the target tokens of a measured document,
drawn with replacement and with their KL at all contexts together, so the heavy tail and the pairing are those
of the model. The contexts are scaled so that the population's curve is exactly flat, a document's curve is bent
at random as much as measured documents' curves are, and the truth is then multiplied in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.verdict.documents import Array, Interval, growth, log_growth
from bench.verdict.regions import Region, Verdict, judge


@dataclass(frozen=True)
class Population:
    """Measured KL with a flat mean curve, to draw documents from."""

    tokens: Array
    """`[documents, contexts, targets]`, mean over documents and targets 1 at every context."""
    bend: float
    """Standard deviation over documents of each context's own ln factor."""

    @classmethod
    def of(cls, tokens: Array) -> Population:
        """The population that measured per-token KL `[documents, contexts, targets]` stands for."""
        tokens = np.maximum(np.asarray(tokens, dtype=np.float64), 0)
        flat = tokens / tokens.mean(axis=(0, 2), keepdims=True)
        # The whole spread is put down to documents, tokens' share included: the harder case.
        bend = log_growth(flat.mean(-1)).std(ddof=1) / np.sqrt(2)
        return cls(flat, float(bend))

    def draw(self, documents: int, truth: float, rng: np.random.Generator) -> Array:
        """Mean KL of so many new documents, `[documents, contexts]`, whose true growth is `truth`."""
        measured, contexts, targets = self.tokens.shape
        which = rng.integers(measured, size=documents)
        token = rng.integers(targets, size=(documents, targets))
        drawn = np.take_along_axis(self.tokens[which], token[:, None, :].repeat(contexts, 1), axis=2).mean(-1)
        factors = np.exp(rng.normal(-(self.bend**2) / 2, self.bend, size=drawn.shape))
        return drawn * factors * np.exp(np.linspace(0, np.log(truth), contexts))


def rate_of_reproduced(
    population: Population, *, documents: int, truth: float, accept: Region, simulations: int, resamples: int, seed: int
) -> tuple[Interval, float]:
    """Rate at which the engine says "reproduced", with its exact binomial interval, and the rate at which BCa would.

    The second number is what SciPy's BCa bootstrap would have said on the same draws, for comparison.
    """
    rng = np.random.default_rng(seed)
    ours = bca = 0
    for number in range(simulations):
        curves = population.draw(documents, truth, rng)
        ours += judge(growth(curves, seed=number, resamples=resamples), accept) is Verdict.REPRODUCED
        bca += judge(_bca(curves, resamples, rng), accept) is Verdict.REPRODUCED
    bounds = stats.binomtest(ours, simulations).proportion_ci(method="exact")
    return Interval(ours / simulations, bounds.low, bounds.high), bca / simulations


def _bca(curves: Array, resamples: int, rng: np.random.Generator) -> Interval:
    def statistic(which: NDArray[np.integer], axis: int = -1) -> Array:
        return log_growth(curves[which].mean(-2))

    interval = stats.bootstrap(
        (np.arange(len(curves)),), statistic, vectorized=True, n_resamples=resamples, method="BCa", rng=rng
    ).confidence_interval
    value = float(log_growth(curves.mean(0)))
    low, high = min(interval.low, value), max(interval.high, value)
    return Interval(*np.exp([value, low, high]))
