"""Statistics along a training: whether a loss is flat, and where a difference leads if its trend goes on.

A trend is followed over the last three doublings of tokens, at a constant learning rate, and drawn out by as many
more: by then students of 12 tokens a parameter have read as many a parameter as the paper's did in an epoch. What
levels off ends between where it is and where the line leads, so both must lie on one side of a boundary.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from bench.verdict.crossed import CrossedInterval, combined, crossed_interval
from bench.verdict.documents import LEVEL, Array, Interval, mean

AHEAD = 3
"""Doublings of tokens by which a trend is drawn out."""
FLAT = 0.01
"""Fall of the held-out loss over a doubling of tokens, as a share of it, under which a student counts as flat."""


def fall(along: Array, losses: Array) -> Interval:
    """Share by which a loss falls over a doubling of tokens at the end of training, an interval over seeds.

    The slope of ln loss on log2 tokens over the last doubling, by least squares.

    Args:
        along: tokens at each reading, `[readings]`.
        losses: `[seeds, readings]`.
    """
    return mean(_falls(along, losses, along[-1]))


def _falls(along: Array, losses: Array, end: float) -> Array:
    """Shares by which losses fall over the doubling that ends after so many tokens, `[seeds]`."""
    within = (along >= end / 2) & (along <= end)
    places = np.log2(along[within])
    centred = places - places.mean()
    return -np.log(losses[:, within]) @ centred / (centred**2).sum()


def until_flat(along: Array, losses: Array) -> float:
    """Doublings of tokens until a loss is flat, if each fall is the same share of the one before it.

    The share is that of the last two doublings, by the means over seeds; infinity where falls do not shrink.

    Args:
        along: tokens at each reading, `[readings]`.
        losses: `[seeds, readings]`.
    """
    before, last = (float(_falls(along, losses, end).mean()) for end in (along[-1] / 2, along[-1]))
    if last < FLAT:
        return 0.0
    return math.log(FLAT / last) / math.log(last / before) if last < before else math.inf


def is_flat(falling: Interval) -> bool:
    """True if a loss falls by less than `FLAT` a doubling, the whole interval of it."""
    return falling.high < FLAT


def now(gaps: Array) -> CrossedInterval:
    """Difference at the end of training, over seeds and documents.

    Args:
        gaps: `[checkpoints, seeds, documents]`, or scalars in the place of documents.
    """
    return _weighed(gaps, np.eye(len(gaps))[-1])


def ahead(tokens: Array, gaps: Array) -> Interval:
    """Difference to which the line through all checkpoints leads `AHEAD` doublings after the last.

    Seeds and documents vary; the checkpoints' distance from the line, a curve that it is not, adds as a square with
    Student's t of two fewer degrees of freedom than there are checkpoints.

    Args:
        tokens: at each checkpoint, `[checkpoints]`.
        gaps: `[checkpoints, seeds, documents]`.
    """
    places = np.log2(tokens / tokens[-1])
    centred = places - places.mean()
    leverage = (AHEAD - places.mean()) * centred / (centred**2).sum()
    sampled = _weighed(gaps, 1 / len(places) + leverage)
    means = gaps.mean((1, 2))
    slope = float(means @ centred / (centred**2).sum())
    freedom = len(places) - 2
    spread = float(np.sqrt(((means - means.mean() - slope * centred) ** 2).sum() / freedom))
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * spread
    half *= float(np.sqrt(1 / len(places) + (AHEAD - places.mean()) ** 2 / (centred**2).sum()))
    return combined([sampled, Interval(sampled.value, sampled.value - half, sampled.value + half)])


def between(first: Interval, second: Interval) -> Interval:
    """Interval of the first estimate that holds both intervals."""
    return Interval(first.value, min(first.low, second.low), max(first.high, second.high))


def unsteadiness(along: Array, losses: Array) -> float:
    """Standard deviation about their line of a run's losses after half of its tokens, nats, both `[readings]`."""
    late = along >= along[-1] / 2
    line = np.polynomial.polynomial.Polynomial.fit(along[late], losses[late], 1)
    return float(np.std(losses[late] - line(along[late]), ddof=2))


def _weighed(gaps: Array, weights: Array) -> CrossedInterval:
    """Interval of a weighted sum over checkpoints, of differences whose mean over seeds and documents is taken."""
    values = np.moveaxis(np.asarray(gaps, dtype=np.float64), 0, -1)  # [seeds, documents, checkpoints]
    return crossed_interval(values, lambda means: means @ weights)
