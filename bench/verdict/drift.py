"""Growth per doubling of context: slopes of ln KL on log2 of context, from means over documents.

Unlike the ratio of the longest context's KL to the shortest one's, a slope per doubling does not depend on how far the
contexts reach, and every context counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from bench.verdict.documents import LEVEL, RESAMPLES, Array, Interval, cluster_interval


def log_slope(contexts: Sequence[int], curve: Array) -> Array:
    """Least-squares slope of ln of a curve on log2 of context: `[..., contexts]` -> `[...]`."""
    doublings = np.log2(np.asarray(contexts, dtype=np.float64))
    weights = doublings - doublings.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(curve) @ (weights / (weights @ weights))


def growth_per_doubling(
    curves: Array, contexts: Sequence[int], *, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """Factor by which a curve grows with every doubling of context: `[documents, contexts]`."""
    return cluster_interval(curves, partial(log_slope, contexts), resamples=resamples, level=level).map(np.exp)


def growth_per_doubling_ratio(
    first: Array, second: Array, contexts: Sequence[int], *, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """Growth per doubling of one curve over that of another on the same documents, each `[documents, contexts]`."""
    pair = np.stack([first, second], axis=1)

    def statistic(means: Array) -> Array:
        slopes = log_slope(contexts, means)
        return slopes[..., 0] - slopes[..., 1]

    return cluster_interval(pair, statistic, resamples=resamples, level=level).map(np.exp)


def log_level(curve: Array) -> Array:
    """Ln of a curve's geometric mean over contexts: `[..., contexts]` -> `[...]`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(curve).mean(-1)


def growth_at_equal_level(
    curve: Array,
    others: Sequence[Array],
    contexts: Sequence[int],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """Growth per doubling of a curve over what others of the same level would have, all `[documents, contexts]`.

    Slope and level of the others (the same method at several strengths) are joined by straight lines in ln KL, and read
    at the curve's own level. Beyond their ends the nearest one's slope is taken: see `brackets`.
    """
    stacked = np.stack([curve, *others], axis=1)

    def statistic(means: Array) -> Array:
        slopes, levels = log_slope(contexts, means), log_level(means)
        return slopes[..., 0] - _read(levels[..., 1:], slopes[..., 1:], levels[..., 0])

    return cluster_interval(stacked, statistic, resamples=resamples, level=level).map(np.exp)


def brackets(curve: Array, others: Sequence[Array]) -> bool:
    """Test that a curve's mean level lies between the lowest and the highest of the others'."""
    levels = [float(log_level(other.mean(0))) for other in others]
    return min(levels) <= float(log_level(curve.mean(0))) <= max(levels)


def _read(places: Array, values: Array, at: Array) -> Array:
    """Piecewise linear interpolation along the last axis, for every leading index its own: `[..., n]` -> `[...]`."""
    flat = np.broadcast_to(at, places.shape[:-1]).reshape(-1)
    rows = zip(places.reshape(-1, places.shape[-1]), values.reshape(-1, values.shape[-1]), flat, strict=True)
    found = []
    for own, heights, place in rows:
        order = np.argsort(own)
        found.append(np.interp(place, own[order], heights[order]))
    return np.array(found).reshape(places.shape[:-1])


def log_fit(contexts: Sequence[int], curve: Array) -> Array:
    """Ln of the residual of a straight line over that of a logarithm: `[..., contexts]` -> `[...]`.

    Both laws have two parameters; below 0 the line fits better. Residuals are sums of squares about the least-squares
    fit, with a floor of rounding so that an exact fit stays finite.
    """
    lengths = np.asarray(contexts, dtype=np.float64)
    residuals = []
    for axis in (lengths, np.log(lengths)):
        design = np.stack([np.ones_like(axis), axis], axis=1)
        keep = np.eye(len(axis)) - design @ np.linalg.pinv(design)
        residuals.append(np.square(curve @ keep).sum(-1))
    floor = np.finfo(np.float64).eps * np.square(curve).sum(-1)
    return np.log(residuals[0] + floor) - np.log(residuals[1] + floor)
