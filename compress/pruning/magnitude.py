"""Magnitude pruning: the weights nearest to zero go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor, nn

from compress.layers import SimulatedLinear, pruned
from compress.method import Method
from compress.selection import check_fraction, first_true, removed_count, smallest
from compress.statistics import Statistic


def smallest_across(scores: Sequence[Tensor], count: int) -> list[Tensor]:
    """Masks of the `count` lowest scores of several tensors taken as one group.

    The limit is found by bisection on the bits of the scores, which for floats at or above zero are ordered as
    the floats are: 31 counting passes and no copy of the whole, whatever the model's size.

    Args:
        scores: non-negative float32 tensors of any shapes.
        count: how many go, counted over all of them.
    """
    if count == 0:
        return [torch.zeros_like(score, dtype=torch.bool) for score in scores]
    low, high = 0, torch.tensor(torch.inf).view(torch.int32).item()
    while low < high:
        middle = (low + high) // 2
        if sum(int((score.view(torch.int32) <= middle).sum()) for score in scores) >= count:
            high = middle
        else:
            low = middle + 1
    masks, left = [], count - sum(int((score.view(torch.int32) < low).sum()) for score in scores)
    for score in scores:
        bits = score.view(torch.int32)
        ties = first_true((bits == low).flatten()[None], torch.tensor([[left]], device=bits.device))
        masks.append((bits < low) | ties.view(score.shape))
        left -= int(ties.sum())
    return masks


class ComparisonGroup(Enum):
    """Weights that are compared with each other when some must go."""

    ROW = "row"
    LAYER = "layer"
    MODEL = "model"


@dataclass(frozen=True)
class MagnitudePruning(Method):
    """Pruning of the weights of smallest magnitude (or the largest, to see what those carry)."""

    sparsity: float
    group: ComparisonGroup = ComparisonGroup.LAYER
    largest: bool = False

    def __post_init__(self) -> None:
        check_fraction("sparsity", self.sparsity)

    def __str__(self) -> str:
        group = "" if self.group is ComparisonGroup.LAYER else f"-per-{self.group.value}"
        return f"{'largest' if self.largest else 'magnitude'}-{self.sparsity:g}{group}"

    def across(self, layers: Mapping[str, nn.Linear]) -> Method:
        """Method with the masks of all layers for the group MODEL; otherwise the method itself."""
        if self.group is not ComparisonGroup.MODEL:
            return self
        if self.largest:
            raise ValueError("the largest weights are pruned per row or per layer, not per model")
        scores = [layer.weight.detach().float().abs() for layer in layers.values()]
        count = removed_count(self.sparsity, sum(score.numel() for score in scores))
        return _GivenMasks(dict(zip(layers, smallest_across(scores, count), strict=True)))

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> SimulatedLinear:
        """Layer with exactly `round(sparsity * group)` weights of each group gone, of equal ones the first."""
        scores = layer.weight.detach().float().abs() * (-1 if self.largest else 1)
        groups = scores if self.group is ComparisonGroup.ROW else scores.view(1, -1)
        mask = smallest(groups, removed_count(self.sparsity, groups.shape[1]))
        return pruned(layer, mask.view(scores.shape))


@dataclass(frozen=True)
class _GivenMasks(Method):
    """Pruning by masks that were chosen for the whole model beforehand."""

    masks: dict[str, Tensor]

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str) -> SimulatedLinear:
        return pruned(layer, self.masks[name])
