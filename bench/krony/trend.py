"""Statistics along a training: whether a loss is flat, and where a difference leads if its trend goes on.

A trend is followed over the last three doublings of tokens, at a constant learning rate, and drawn out by as many
more: by then students of 12 tokens a parameter have read as many a parameter as the paper's did in an epoch. What
levels off ends between where it is and where the line leads, so both must lie on one side of a boundary.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from bench.verdict.crossed import combined, crossed_interval
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
    late = along >= along[-1] / 2
    places = np.log2(along[late])
    centred = places - places.mean()
    slopes = np.log(losses[:, late]) @ centred / (centred**2).sum()
    return mean(-slopes)


def is_flat(falling: Interval) -> bool:
    """True if a loss falls by less than `FLAT` a doubling, the whole interval of it."""
    return falling.high < FLAT


def now(gaps: Array) -> Interval:
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


def _weighed(gaps: Array, weights: Array) -> Interval:
    """Interval of a weighted sum over checkpoints, of differences whose mean over seeds and documents is taken."""
    values = np.moveaxis(np.asarray(gaps, dtype=np.float64), 0, -1)  # [seeds, documents, checkpoints]
    return crossed_interval(values, lambda means: means @ weights)
