"""Grades of a checkpoint in plain words, from what was measured of it and from blocks that stand out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.verdict.documents import Interval

WORDS = ("as good as", "slightly worse than", "worse than", "broken")
LIMITS: Mapping[str, tuple[float, ...]] = {
    "ratio": (1.01, 1.1, 1.5),
    "kl": (0.01, 0.1, 0.5),
    "top1": (0.95, 0.85, 0.7),
}
"""Last value of each grade but the worst, by measure; of `top1`, the share that agrees, the least.

What llama.cpp's table has for Llama-3-8B lies between them: q6_K (ratio 1.0035, KL 0.0055, same top token 96.0 %) is as
good as the dense model, q4_K_M (1.028, 0.031, 91.9 %) slightly worse, q2_K (1.56, 0.445, 71.1 %) at the end of worse.
"""
SIZES = ("size", "num_", "n_", "dim", "layer", "positions", "position_embeddings", "tie_", "d_model", "model_type")
"""Parts of the names of settings that pruning and conversion may change."""
LEAST_DEPARTURE = 0.5
"""Departure of a block, relative to what the dense block adds, under which no block is called bad."""
TIMES_MEDIAN = 3.0
"""Multiple of the median block's departure from which on one stands out."""


@dataclass(frozen=True)
class Grade:
    """Grade of a checkpoint, and why."""

    best: int
    """Place in `WORDS` of the best grade that the intervals allow."""
    worst: int
    reason: str

    @property
    def decided(self) -> bool:
        """True if the intervals allow one grade only."""
        return self.best == self.worst

    @property
    def words(self) -> str:
        """Grade in plain words, such as "slightly worse than the dense model"."""
        names = [WORDS[place] for place in dict.fromkeys((self.best, self.worst))]
        return " or ".join(name if name == WORDS[-1] else f"{name} the dense model" for name in names)


def grade_of(
    measures: Mapping[str, Interval], *, bad_blocks: Sequence[int] = (), foreign: Sequence[str] = (), unusable: int = 0
) -> Grade:
    """Grade of a checkpoint: the worst that any measure gives it.

    Args:
        measures: intervals by the names of `LIMITS`; others are left alone.
        bad_blocks: blocks that depart where the others do not; such a checkpoint is broken, whatever its text.
        foreign: settings that differ and that no compression changes, such as the base of RoPE; where predictions
            differ too, the checkpoint is broken.
        unusable: number of tokens for which its predictions are not finite.
    """
    broken = len(WORDS) - 1
    if unusable:
        return Grade(broken, broken, f"its predictions are not finite for {unusable:,} tokens")
    places = {name: _places(name, measures[name]) for name in LIMITS if name in measures}
    best, worst = (max(pair[side] for pair in places.values()) for side in (0, 1))
    deciding = max(places, key=lambda name: (places[name][1], places[name][0], -list(LIMITS).index(name)))
    reason = _said(deciding, measures[deciding])
    if bad_blocks:
        best = worst = broken
        reason = f"{named(bad_blocks)} alone; {reason}"
    elif foreign and best > 0:
        best = worst = broken
        reason = f"every block departs, from block 0, as no compression changes {', '.join(foreign)}; {reason}"
    return Grade(best, worst, reason)


def _places(name: str, interval: Interval) -> tuple[int, int]:
    ends = interval.low, interval.high
    found = [sum(_beyond(name, end, limit) for limit in LIMITS[name]) for end in ends]
    return min(found), max(found)


def _beyond(name: str, value: float, limit: float) -> bool:
    return not (value >= limit if name == "top1" else value <= limit)  # NaN is beyond every limit


def _said(name: str, interval: Interval) -> str:
    value, low, high = interval.value, interval.low, interval.high
    if name == "top1":
        return f"{value:.1%} of the top tokens are the same [{low:.1%}, {high:.1%}]"
    if name == "kl":
        return f"KL {value:.3g} nats a token [{low:.3g}, {high:.3g}]"
    return f"perplexity {value:.3f} times the dense model's [{low:.3f}, {high:.3f}]"


def foreign_settings(names: Iterable[str]) -> list[str]:
    """Settings among those that differ which no compression changes: all but sizes, counts and ties."""
    return [name for name in names if not any(part in name.rpartition(".")[2] for part in SIZES)]


def bad_blocks(departures: Sequence[float] | None) -> list[int]:
    """Blocks that do not do what the dense model's do, where most of the others do.

    A block is bad if its departure is beyond `LEAST_DEPARTURE` and beyond `TIMES_MEDIAN` times the median block's: few
    bits move every block, while a swapped or damaged one stands out. A departure that is not a number is bad.
    """
    if not departures:
        return []
    finite = [value for value in departures if not math.isnan(value)]
    limit = max(LEAST_DEPARTURE, TIMES_MEDIAN * median(finite)) if finite else LEAST_DEPARTURE
    return [place for place, value in enumerate(departures) if not value <= limit]


def named(blocks: Sequence[int]) -> str:
    """Bad blocks in words, the first of them first."""
    first = ", ".join(map(str, blocks[:4])) + (" and others" if len(blocks) > 4 else "")
    return f"block {first} departs" if len(blocks) == 1 else f"blocks {first} depart"
