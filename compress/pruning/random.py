"""Random pruning, the control of every measure of importance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from compress.layers import SimulatedLinear, pruned
from compress.method import Method
from compress.selection import check_fraction, layer_generator, removed_count, smallest
from compress.statistics import Statistic


@dataclass(frozen=True)
class RandomPruning(Method):
    """Pruning of each layer's weights at random, whatever their size."""

    sparsity: float
    seed: int = 0

    def __post_init__(self) -> None:
        check_fraction("sparsity", self.sparsity)

    def __str__(self) -> str:
        return f"random-{self.sparsity:g}" + (f"-seed-{self.seed}" if self.seed else "")

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> SimulatedLinear:
        """Layer with exactly `round(sparsity * d_out * d_in)` weights gone."""
        scores = torch.rand(1, layer.weight.numel(), generator=layer_generator(self.seed, name))
        mask = smallest(scores, removed_count(self.sparsity, scores.numel())).view(layer.weight.shape)
        return pruned(layer, mask.to(layer.weight.device))
