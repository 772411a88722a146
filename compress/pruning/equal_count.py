"""Unstructured pruning of the very matrices that structured pruning makes smaller, of just as many weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from compress.layers import CompressedModule, SimulatedLinear, pruned
from compress.method import Method
from compress.pruning.structured import StructuredPruning
from compress.pruning.wanda import wanda_scores
from compress.selection import smallest
from compress.size import dense_storage
from compress.statistics import SquaredInputs, Statistic


def smallest_of_rows(scores: Tensor, count: int) -> Tensor:
    """Mask of `count` members, as many of every row as of any other or one more: those with the lowest scores.

    Where the count is no multiple of the rows, the rows whose next member has the lowest score give one more.

    Args:
        scores: `[rows, members]`.
        count: of all rows together.

    Returns:
        `[rows, members]`, bool.
    """
    each, rest = divmod(count, len(scores))
    mask = smallest(scores, each)
    if rest:
        left = scores.masked_fill(mask, torch.inf)
        lowest = left.min(1, keepdim=True)
        mask.scatter_(1, lowest.indices, smallest(lowest.values.T, rest).T)
    return mask


@dataclass(frozen=True)
class UnstructuredCounterpart(Method):
    """Wanda's pruning of the layers that structured pruning makes smaller, weight for weight; others stay dense."""

    structured: StructuredPruning
    statistic: ClassVar[type[Statistic] | None] = SquaredInputs

    def __str__(self) -> str:
        return f"wanda-for-{self.structured}"

    def compress_block(
        self, layers: Mapping[str, nn.Linear], statistics: Mapping[str, Statistic], *, prefix: str = ""
    ) -> dict[str, CompressedModule]:
        """Layers of a block, each with as many weights gone as structured pruning takes of it."""
        smaller = self.structured.compress_block(layers, statistics, prefix=prefix)
        made: dict[str, CompressedModule] = {}
        for name, layer in layers.items():
            weight = layer.weight.detach()
            if gone := weight.numel() - smaller[name].weight.numel():  # type: ignore[attr-defined]
                squared = self.measured(SquaredInputs, statistics.get(name), prefix + name)
                made[name] = pruned(layer, smallest_of_rows(wanda_scores(weight, squared.mean), gone))
            else:
                made[name] = SimulatedLinear(weight, layer.bias, storage=dense_storage(weight))
        return made
