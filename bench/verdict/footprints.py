"""Quality of families by the bytes of their files, and where one overtakes another.

Losses are those over the dense model's, `[documents]`; between two sizes of a family they are interpolated on the
logarithm of bytes. Beyond its largest file a family stays as good: a smaller file fits a larger footprint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from bench.verdict.documents import Array, Interval, cluster_interval

SIZES = 32
"""Footprints, evenly spaced on their logarithm, at which families are compared."""
USABLE = 2.0
"""Perplexity over the dense model's up to which the better of two variants is of use to anybody."""


@dataclass(frozen=True)
class Curve:
    """Sizes of one family, ascending, none of which is worse than a smaller one."""

    family: str
    bytes: Array
    """`[sizes]`."""
    loss: Array
    """Over the dense model's, `[sizes, documents]`."""

    def at(self, footprints: Array) -> Array:
        """Losses at footprints, `[footprints, documents]`; NaN below its smallest file."""
        places, own = np.log(footprints), np.log(self.bytes)
        columns = [np.interp(places, own, column, left=math.nan) for column in self.loss.T]
        return np.stack(columns, axis=1)

    def over(self, documents: Sequence[int]) -> Curve:
        """Curve of some of the documents."""
        return Curve(self.family, self.bytes, self.loss[:, documents])


def curve_of(family: str, sizes: Sequence[tuple[float, Array]], documents: Sequence[int] | None = None) -> Curve:
    """Curve of a family's variants, without those that a smaller one beats.

    Args:
        family: its name.
        sizes: bytes and losses over the dense model's `[documents]` of each variant.
        documents: those by whose mean loss a variant is beaten; all by default.
    """
    chosen = list(range(len(sizes[0][1]))) if documents is None else list(documents)
    kept: list[tuple[float, Array]] = []
    for size, loss in sorted(sizes, key=lambda variant: variant[0]):
        if not kept or loss[chosen].mean() < kept[-1][1][chosen].mean():
            kept.append((size, loss))
    return Curve(family, np.array([size for size, _ in kept]), np.stack([loss for _, loss in kept]))


def footprints_of(curves: Sequence[Curve]) -> Array:
    """Footprints from the smallest file to the largest, evenly spaced on their logarithm."""
    ends = [size for curve in curves for size in (curve.bytes[0], curve.bytes[-1])]
    return np.geomspace(min(ends), max(ends), SIZES)


@dataclass(frozen=True)
class Crossing:
    """Two families, of which one is better at a small footprint and the other at a larger one."""

    small: float
    """Bytes."""
    large: float
    better_small: str
    better_large: str
    gain: float
    """Worse of the two advantages, in nats a token; below zero where no pair of families crosses."""


def clearest_crossing(curves: Mapping[str, Curve], footprints: Array) -> Crossing | None:
    """Pair of families and of footprints at which each is better once, by the most; None where none can be compared.

    The better one must be usable at either footprint: what crosses in ruins helps nobody.
    """
    means = {name: curve.at(footprints).mean(1) for name, curve in curves.items()}
    best: Crossing | None = None
    for first, second in permutations(means, 2):
        early = _advantage(means[first], means[second])
        late = _advantage(means[second], means[first])
        worse = np.minimum(early[:, None], late[None, :])
        worse[np.tril_indices(len(footprints))] = -np.inf  # the second footprint is the larger
        i, j = np.unravel_index(int(worse.argmax()), worse.shape)
        gain = float(worse[i, j])
        if math.isfinite(gain) and (best is None or gain > best.gain):
            best = Crossing(float(footprints[i]), float(footprints[j]), first, second, gain)
    return best


def _advantage(better: Array, worse: Array) -> Array:
    """Nats by which one is better at each footprint; minus infinity where it is not usable or one is not there."""
    gap = worse - better
    return np.where(np.isfinite(gap) & (better <= math.log(USABLE)), gap, -np.inf)


def advantage(curves: Mapping[str, Curve], crossing: Crossing) -> Interval:
    """Perplexity of the worse family over the better one's at the footprint where that is less, over documents.

    The bounds are the lower ones of both footprints, so that the whole crossing is as sure as they say.
    """
    sizes = np.array([crossing.small, crossing.large])
    small, large = curves[crossing.better_small].at(sizes), curves[crossing.better_large].at(sizes)
    gaps = (large[0] - small[0], small[1] - large[1])
    sides = [cluster_interval(gap[:, None], lambda means: means[..., 0]).map(math.exp) for gap in gaps]
    return Interval(*(min(getattr(side, end) for side in sides) for end in ("value", "low", "high")))


@dataclass(frozen=True)
class Best:
    """Best family at one footprint, and the next."""

    bytes: float
    family: str
    ratio: Interval
    """Perplexity over the dense model's."""
    runner_up: str
    lead: Interval | None
    """Perplexity of the next over the best's; None where only one family is so small."""


def best_at(curves: Mapping[str, Curve], footprint: float) -> Best | None:
    """Best family at a footprint; None where none is so small."""
    at = np.array([footprint])
    losses = {name: curve.at(at)[0] for name, curve in curves.items()}
    order = sorted((name for name, loss in losses.items() if np.isfinite(loss).all()), key=lambda n: losses[n].mean())
    if not order:
        return None

    def ratio(loss: Array) -> Interval:
        return cluster_interval(loss[:, None], lambda means: means[..., 0]).map(np.exp)

    first, second = order[0], order[1] if len(order) > 1 else ""
    lead = ratio(losses[second] - losses[first]) if second else None
    return Best(footprint, first, ratio(losses[first]), second, lead)


def overtaking(first: Curve, second: Curve, footprints: Array, *, resamples: int = 500) -> Interval | None:
    """Bytes from which a second family is better than a first, with the range over resampled documents.

    None where it is better from the start or never.
    """
    gaps = first.at(footprints) - second.at(footprints)
    place = _first_gain(gaps.mean(1), footprints)
    if place is None:
        return None
    generator, documents = np.random.default_rng(0), gaps.shape[1]
    draws = generator.multinomial(documents, np.full(documents, 1 / documents), size=resamples) / documents
    found = [_first_gain(gaps @ weights, footprints) for weights in draws]
    known = np.array([size for size in found if size is not None])
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (place, place)
    return Interval(place, min(place, float(low)), max(place, float(high)))


def _first_gain(gap: Array, footprints: Array) -> float | None:
    """Footprint at which a gap first goes from below zero to above, between two on the logarithm."""
    for i in range(len(gap) - 1):
        if gap[i] < 0 <= gap[i + 1]:
            share = -gap[i] / (gap[i + 1] - gap[i])
            return float(np.exp(np.log(footprints[i]) + share * np.log(footprints[i + 1] / footprints[i])))
    return None
