"""Mixed precision by activations: the weights of the largest inputs stay in 16 bits (Lin et al. 2024, table 1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from compress.grid import check_bits, fit_grid, from_codes, to_codes
from compress.layers import SimulatedLinear
from compress.method import Method
from compress.quantization.grouping import PerGroup
from compress.quantization.mixed_precision import protected_count
from compress.selection import check_fraction, smallest
from compress.size import Storage, element_bits
from compress.statistics import Magnitudes, Statistic

WIDE = torch.float16
WIDE_BITS = INDEX_BITS = 16
"""Bits of a weight that is kept, and of the number of a kept input."""


def salient_inputs(magnitudes: Tensor, fraction: float) -> Tensor:
    """Mask of the inputs with the largest magnitudes, as many as `fraction` of all: `[d_in]` -> `[d_in]`, bool."""
    return smallest(-magnitudes[None], protected_count(fraction, len(magnitudes)))[0]


@dataclass(frozen=True)
class SalientChannels(Method):
    """Rounding to nearest with the columns of salient inputs in 16 bits: the rival that AWQ is to match.

    Salient are the inputs with the largest mean magnitude over the calibration tokens. The columns of the others are
    rounded on group ranges of their own, in which the kept ones do not count.
    """

    bits: int
    grouping: PerGroup = field(default_factory=lambda: PerGroup(128))
    fraction: float = 0.01
    statistic: ClassVar[type[Statistic] | None] = Magnitudes

    def __post_init__(self) -> None:
        check_bits(self.bits)
        check_fraction("the fraction of salient inputs", self.fraction)

    def __str__(self) -> str:
        return f"salient-w{self.bits}-{self.grouping}-{self.fraction:g}"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None, *, name: str = "") -> SimulatedLinear:
        """Layer with its salient columns in 16 bits and the rest on its grid."""
        weight = layer.weight.detach()
        salient = salient_inputs(self.measured(Magnitudes, statistic, name).sum, self.fraction)
        groups = self.grouping.cut(weight.float().masked_fill(salient, 0))
        grid = fit_grid(groups, self.bits, symmetric=False)
        rounded = self.grouping.join(from_codes(to_codes(groups, grid), grid), weight.shape[1])
        mixed = torch.where(salient, weight.to(WIDE), rounded.to(weight.dtype)).to(weight.dtype)
        kept, scales = int(salient.sum()), grid.scale.numel()
        storage = Storage(
            weight.numel(),
            value_bits=len(weight) * ((weight.shape[1] - kept) * self.bits + kept * WIDE_BITS),
            scale_bits=scales * element_bits(grid.scale),
            zero_point_bits=scales * self.bits,
            mask_bits=kept * INDEX_BITS,
            held_bits=weight.numel() * element_bits(weight),
        )
        return SimulatedLinear(mixed, layer.bias, storage=storage)
