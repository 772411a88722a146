"""Statistics of two models on the same windows: what a sheet says of a checkpoint, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bench.verdict.conclude import exactly
from bench.verdict.documents import Array, Interval, difference_ratio, growth, mean

PERCENTILES = (1, 5, 50, 90, 95, 99, 99.9)
FIRST_BUCKET = 32
"""Positions before it have too little context to be one point of a curve."""
RATIO, KL, REVERSE_KL, TOP1, CHANGE = "ratio", "kl", "reverse_kl", "top1", "change_of_p"
UNUSABLE = {RATIO: math.inf, KL: math.inf, REVERSE_KL: math.inf, TOP1: 0.0, CHANGE: -1.0}
"""Values of a model whose predictions are not numbers."""


@dataclass(frozen=True)
class Judged:
    """Predictions of both models for the same tokens, `[documents, tokens - 1]` each."""

    tokens: Mapping[str, Array]
    """Values by the names of `Predictions`."""
    edges: tuple[int, ...]
    """Positions at which the buckets of context begin, and the end."""

    @property
    def change(self) -> Array:
        """Change of the right token's probability, `[documents, tokens - 1]`."""
        return np.exp(-self.tokens["loss"]) - np.exp(-self.tokens["dense_loss"])

    @property
    def unusable(self) -> int:
        """Number of tokens for which the compressed model's predictions are not finite."""
        return int((~np.isfinite(self.tokens["kl"]) | ~np.isfinite(self.tokens["loss"])).sum())

    @property
    def identical(self) -> bool:
        """True if the two predict the same everywhere, so that ratios of their divergences are 0/0."""
        return not self.tokens["kl"].any()

    def measures(self) -> dict[str, Interval]:
        """Intervals by name: of the perplexity ratio, KL both ways, top-1 agreement, and change of p(right)."""
        if self.unusable:
            return {name: exactly(value) for name, value in UNUSABLE.items()}
        losses = (self.tokens[name].mean(1) for name in ("loss", "dense_loss"))
        means = {KL: self.tokens["kl"], REVERSE_KL: self.tokens["reverse_kl"], TOP1: self.tokens["agreement"]}
        means[CHANGE] = self.change
        found = {name: mean(values.mean(1)) for name, values in means.items()}
        # Student's interval of a few documents goes beyond what a divergence or a share can be.
        kept = {name: Interval(x.value, max(x.low, 0.0), x.high) for name, x in found.items() if name != CHANGE}
        share = kept[TOP1]
        kept[TOP1] = Interval(share.value, share.low, min(share.high, 1.0))
        return {RATIO: difference_ratio(*losses), **kept, CHANGE: found[CHANGE]}

    def by_position(self, name: str = "kl") -> Array:
        """Means over each document's buckets of positions, `[documents, buckets]`."""
        return np.stack([self.tokens[name][:, a:b].mean(1) for a, b in pairwise(self.edges)], axis=1)

    def growth(self) -> Interval | None:
        """KL in the last bucket over that in the first; 1 for an identical checkpoint, None for an unusable one."""
        if self.unusable:
            return None
        return exactly(1.0) if self.identical else growth(self.by_position())

    def columns(self) -> dict[str, float]:
        """Figures of llama.cpp's table, and the loss in both directions."""
        kl, change = self.tokens["kl"], self.change
        figures = {
            "perplexity, dense": np.exp(self.tokens["dense_loss"].mean()),
            "perplexity": np.exp(self.tokens["loss"].mean()),
            "mean KL compressed‖dense": kl.mean(),
            "mean KL dense‖compressed": self.tokens["reverse_kl"].mean(),
            "maximum KL": kl.max(),
            "same top token": self.tokens["agreement"].mean(),
            "mean change of p(right)": change.mean(),
            "RMS change of p(right)": np.sqrt((change**2).mean()),
        }
        for name, values, percentiles in (
            ("KL", kl, [p for p in PERCENTILES if p >= 50]),
            ("reverse KL", self.tokens["reverse_kl"], [p for p in PERCENTILES if p >= 50]),
            ("change of p(right)", change, PERCENTILES),
        ):
            figures |= {f"{p:g} % percentile of {name}": np.percentile(values, p) for p in percentiles}
        return {name: float(value) for name, value in figures.items()}

    def worst(self, count: int) -> list[tuple[int, int]]:
        """Document and position of the tokens whose predictions differ most, the largest KL first."""
        kl = np.nan_to_num(self.tokens["kl"], nan=np.inf)
        order = np.argsort(-kl, axis=None, kind="stable")[:count]
        return [tuple(map(int, np.unravel_index(place, kl.shape))) for place in order]  # type: ignore[misc]


def edges(positions: int) -> tuple[int, ...]:
    """First position of each bucket, and the end: 32, 64, 128, ...; two halves where there are too few positions.

    A last bucket of fewer positions than half its neighbour's joins it.
    """
    if positions < 3 * FIRST_BUCKET:
        return (0, positions // 2, positions)
    starts = [FIRST_BUCKET]
    while 2 * starts[-1] < positions:
        starts.append(2 * starts[-1])
    if positions - starts[-1] < starts[-1] // 4:
        starts.pop()
    return (*starts, positions)
