"""Mixed precision: a fraction of a layer's groups is kept at more bits than the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from compress.grid import check_bits
from compress.selection import check_fraction, layer_generator, smallest


class Keep(Enum):
    """Groups that a mixed-precision method protects, by their mean magnitude."""

    LARGEST = "largest"
    SMALLEST = "smallest"
    RANDOM = "random"


@dataclass(frozen=True)
class Protection:
    """Fraction of a layer's groups that is kept at more bits than the others."""

    fraction: float
    keep: Keep = Keep.LARGEST
    bits: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        check_fraction("fraction of protected groups", self.fraction)
        check_bits(self.bits)

    def __str__(self) -> str:
        return f"keep-{self.fraction:g}-{self.keep.value}"

    def mask(self, magnitudes: Tensor, name: str) -> Tensor:
        """Mask of the protected ones among groups of mean magnitudes `[d_out, n]`, exactly as many as asked.

        Args:
            magnitudes: mean magnitude of each group.
            name: the layer's name in the model, which random choices depend on.
        """
        if self.keep is Keep.RANDOM:
            scores = torch.rand(magnitudes.shape, generator=layer_generator(self.seed, name))
            scores = scores.to(magnitudes.device)
        else:
            scores = -magnitudes if self.keep is Keep.LARGEST else magnitudes
        return smallest(scores.view(1, -1), protected_count(self.fraction, scores.numel())).view(scores.shape)


def protected_count(fraction: float, groups: int) -> int:
    """Number of groups at the higher precision: the whole number nearest to `fraction * groups`."""
    return math.floor(fraction * groups + 0.5)
