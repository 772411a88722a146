"""Intervals over documents, and the statistics that the claims are stated in.

Measurements are `[documents, ...]`: one row of means for each document. A document is drawn or left out as a
whole, because its tokens are not independent. Statistics are functions of the mean over documents, so they
accept any leading axes: `[..., contexts]` -> `[...]`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.floating[Any]]
Statistic = Callable[[Array], Array]
LEVEL = 0.95
FEWEST_TO_BOOTSTRAP = 12
RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """An estimate with the bounds of its confidence interval."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.value} with bounds {self.low} and {self.high} is no interval")

    def map(self, increasing: Callable[[float], float]) -> Interval:
        """The interval of an increasing function of the estimate."""
        return Interval(*(float(increasing(x)) for x in (self.value, self.low, self.high)))

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


def cluster_interval(
    documents: Array, statistic: Statistic, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """The statistic of the mean over documents, with an interval from resampled documents.

    From 12 documents on, a bootstrap-t interval: each resample's deviation is divided by its own jackknife
    standard error (Efron & Tibshirani 1993, §12.5), because percentile and BCa intervals are too short with as
    few documents as a long context leaves. Under 12 documents resamples repeat each other so much that the
    bootstrap's quantiles are wide and unsteady; there those of Student's t with the jackknife error are used,
    which hold their level (`bench/long_context/test_instrument.py` measures all of this).

    Args:
        documents: `[documents, ...]`.
        statistic: `[..., ...]` -> `[...]`, of means over documents.
        seed: of the resampling.
        resamples: how many.
        level: of the two-sided interval.

    Raises:
        ValueError: fewer than two documents, or a statistic that is not finite.
    """
    n = len(documents)
    if n < 2:
        raise ValueError(f"{n} document(s) have no spread; an interval needs at least 2")
    documents = np.asarray(documents, dtype=np.float64)
    value, error = _with_error(documents, np.ones((1, n)), statistic)
    if not (np.isfinite(value).all() and np.isfinite(error).all()):
        raise ValueError(f"the statistic is {value[0]} with standard error {error[0]}; it must be finite")
    tail = (1 - level) / 2
    if n < FEWEST_TO_BOOTSTRAP:
        low, high = stats.t.ppf([tail, 1 - tail], df=n - 1)
    else:
        counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
        counts = counts[(counts < n).all(axis=1)]
        values, errors = _with_error(documents, counts.astype(np.float64), statistic)
        usable = np.isfinite(values) & (errors > 0)
        if not usable.any():  # every document says the same
            return Interval(float(value[0]), float(value[0]), float(value[0]))
        low, high = np.quantile((values[usable] - value[0]) / errors[usable], [tail, 1 - tail])
    # A skewed sample can put both quantiles on one side; the estimate itself always belongs to its interval.
    return Interval(
        float(value[0]), float(value[0] - max(high, 0) * error[0]), float(value[0] - min(low, 0) * error[0])
    )


def _with_error(documents: Array, counts: Array, statistic: Statistic) -> tuple[Array, Array]:
    """Value and jackknife standard error for each row of document counts: `[rows, n]` -> 2 x `[rows]`."""
    n = counts.shape[1]
    flat = documents.reshape(n, -1)
    sums = counts @ flat
    shape = documents.shape[1:]
    values = statistic((sums / n).reshape(-1, *shape))
    left_out = np.stack(
        [statistic(((sums - row) / (n - 1)).reshape(-1, *shape)) for row in flat], axis=1
    )  # [rows, n]; a document drawn k times is left out once in each of its k places
    with np.errstate(invalid="ignore"):  # what is not finite is for the caller to refuse
        left_out = np.where(counts > 0, left_out, 0)  # a document that was not drawn counts for nothing
        centre = (counts * left_out).sum(1, keepdims=True) / n
        return values, np.sqrt((n - 1) / n * (counts * (left_out - centre) ** 2).sum(1))


def log_growth(curve: Array) -> Array:
    """Ln of the value at the longest context over that at the shortest: `[..., contexts]` -> `[...]`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(curve[..., -1]) - np.log(curve[..., 0])


def growth(curves: Array, *, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Ratio of the value at the longest context to that at the shortest: `[documents, contexts]`."""
    return cluster_interval(curves, log_growth, seed=seed, resamples=resamples).map(np.exp)


def log_ratio(pair: Array) -> Array:
    """Ln of the first over the second: `[..., 2]` -> `[...]`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(pair[..., 0]) - np.log(pair[..., 1])


def ratio(first: Array, second: Array, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL) -> Interval:
    """The mean of the first over the mean of the second, each `[documents]`."""
    pair = np.stack([first, second], axis=-1)
    return cluster_interval(pair, log_ratio, seed=seed, resamples=resamples, level=level).map(np.exp)


def difference_ratio(first: Array, second: Array, *, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Exp of the mean of first minus second, each `[documents]` of mean losses: a ratio of perplexities."""
    gap = (first - second)[:, None]
    return cluster_interval(gap, lambda means: means[..., 0], seed=seed, resamples=resamples).map(np.exp)


def variance_ratio(
    first: Array, second: Array, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """The variance across contexts of one mean curve over that of another, each `[documents, contexts]`."""
    pair = np.stack([first, second], axis=1)

    def statistic(means: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            variances = np.log(means.var(axis=-1, ddof=1))
        return variances[..., 0] - variances[..., 1]

    return cluster_interval(pair, statistic, seed=seed, resamples=resamples, level=level).map(np.exp)


def relative_variance_ratio(
    first: Array, second: Array, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """`variance_ratio` with each variance divided by the square of its curve's mean, so that the level drops out."""
    pair = np.stack([first, second], axis=1)

    def statistic(means: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            variances = np.log(means.var(axis=-1, ddof=1)) - 2 * np.log(means.mean(axis=-1))
        return variances[..., 0] - variances[..., 1]

    return cluster_interval(pair, statistic, seed=seed, resamples=resamples, level=level).map(np.exp)


def level_ratio(
    first: Array, second: Array, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """The mean over contexts of one curve over that of another, each `[documents, contexts]`."""
    return ratio(first.mean(1), second.mean(1), seed=seed, resamples=resamples, level=level)


def mean(values: Array, *, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean over documents, `[documents]`."""
    return cluster_interval(values[:, None], lambda means: means[..., 0], seed=seed, resamples=resamples)


def crossed_ratio(first: Array, second: Array, *, level: float = LEVEL) -> Interval:
    """Exp of the mean of first minus second, each `[seeds, documents]` of mean losses: a ratio of perplexities.

    Seeds and documents are both drawn from more, and every seed is scored on every document. Either source of error
    has an interval of its own from its means, Student's t with its own degrees of freedom; their half-widths add as
    squares (Zou & Donner 2008). That is exact where one source outweighs the other and holds its level between, where
    pooled degrees of freedom do not (`tests/bench/krony/test_ladder.py`). With one seed only documents count, and the
    interval says nothing of other seeds.

    Raises:
        ValueError: shapes that differ, fewer than two documents, or a loss that is not finite.
    """
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] < 2:
        raise ValueError(f"losses are {first.shape} and {second.shape}; both must be [seeds, at least 2 documents]")
    gap = np.asarray(first, dtype=np.float64) - second
    if not np.isfinite(gap).all():
        raise ValueError("a loss is not finite; a run that diverged cannot be averaged")
    value, squares = gap.mean(), 0.0
    for means in (gap.mean(0), gap.mean(1)):
        if (n := len(means)) > 1:
            squares += stats.t.ppf((1 + level) / 2, df=n - 1) ** 2 * means.var(ddof=1) / n
    half = squares**0.5
    return Interval(*(float(np.exp(x)) for x in (value, value - half, value + half)))
