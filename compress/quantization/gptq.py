"""GPTQ (Frantar et al. 2023): round column by column, the columns that follow making up for what was lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from compress.grid import check_bits
from compress.layers import SimulatedLinear, WeightGrid
from compress.method import Method
from compress.pruning.compensate import BLOCK, INNER, compensated
from compress.pruning.factor import damping_note, inverse_factor
from compress.quantization.column_rounding import ColumnRounding, Ranges
from compress.quantization.grouping import PerGroup, PerRow, PerTensor
from compress.size import Storage, element_bits
from compress.statistics import GramMatrix, Statistic

INDEX_BITS = 16
"""Bits of the number of a column's group, where the order of columns has mixed them."""


@dataclass(frozen=True)
class Quantized:
    """Result of GPTQ on one weight, with columns where they were."""

    weight: Tensor
    """`[d_out, d_in]`."""
    codes: Tensor
    """Whole numbers, `[d_out, d_in]`."""
    scales: Tensor
    """`[d_out, groups]`."""
    zero_points: Tensor
    """`[d_out, groups]`."""
    groups: Tensor
    """Group of each column, `[d_in]`."""
    damping: float
    """Damping that the Hessian took, at least the one asked for."""
    precision: torch.dtype
    """In which the Hessian was factored: float32 where that was shown to be accurate enough, else float64."""


def gptq(
    weight: Tensor,
    gram: Tensor,
    *,
    bits: int,
    grouping: PerRow | PerGroup,
    symmetric: bool = False,
    damping: float = 0.01,
    activation_order: bool = False,
    ranges: Ranges = Ranges.FRESH,
    block: int = BLOCK,
) -> Quantized:
    """Quantizes a weight so that its outputs on the calibration inputs change little.

    Inputs that were zero throughout the calibration get weight zero, as in the authors' code.

    Args:
        weight: `[d_out, d_in]`.
        gram: Σ x xᵀ of its inputs, `[d_in, d_in]`.
        bits: 2 to 8.
        grouping: one grid a row, or one for each group of a row.
        symmetric: see `compress.grid.fit_grid`.
        damping: of the mean diagonal, added to the Hessian's.
        activation_order: columns with the largest inputs first.
        ranges: where a group's range comes from.
        block: of the solver.

    Raises:
        ValueError: bits outside the format, or a Hessian that is not positive definite.
    """
    check_bits(bits)
    d_in = weight.shape[1]
    size = d_in if isinstance(grouping, PerRow) else grouping.size
    order = None
    if activation_order:
        order = gram.diagonal().argsort(descending=True, stable=True)
        weight, gram = weight[:, order], gram[order][:, order]
    factor = inverse_factor(gram, damping, weight.dtype)
    weight = weight.masked_fill(factor.dead, 0)
    rule = ColumnRounding(weight, bits, size, symmetric, ranges, torch.arange(d_in) if order is None else order.cpu())
    block, inner = _blocks(block, size, d_in, ranges)
    rounded = compensated(weight, factor.upper, rule, block=block, inner=inner)
    codes, groups = rule.codes.T.contiguous(), rule.groups.to(weight.device)
    if order is not None:
        back = order.argsort()
        rounded, codes, groups = rounded[:, back], codes[:, back], groups[back]
    grids = torch.cat(rule.scales, 1), torch.cat(rule.zero_points, 1)
    return Quantized(rounded, codes, *grids, groups, factor.damping, factor.upper.dtype)


def _blocks(block: int, size: int, d_in: int, ranges: Ranges) -> tuple[int, int]:
    """Lengths of the solver's blocks and inner blocks that groups of a size admit."""
    if ranges is not Ranges.REFERENCE:  # a group never lies across the end of a block
        block = max(1, block // size) * size if size < d_in else block
    # A group's range is taken when its first column is reached, so that one must begin an inner block.
    looks_ahead = ranges is Ranges.FRESH and size < d_in
    return block, INNER if not looks_ahead or size % INNER == 0 else min(size, block)


@dataclass(frozen=True)
class GPTQ(Method):
    """Rounding of weights column by column with compensation (Frantar et al. 2023)."""

    bits: int
    grouping: PerRow | PerGroup = field(default_factory=lambda: PerGroup(128))
    symmetric: bool = False
    damping: float = 0.01
    activation_order: bool = False
    ranges: Ranges = Ranges.FRESH
    activation_bits: int | None = None
    statistic: ClassVar[type[Statistic] | None] = GramMatrix

    def __post_init__(self) -> None:
        check_bits(self.bits)
        if self.activation_bits is not None:
            check_bits(self.activation_bits)
        if isinstance(self.grouping, PerTensor):
            raise ValueError("GPTQ has a grid for each row or group, not one for a whole weight")

    def __str__(self) -> str:
        width = f"w{self.bits}" + (f"a{self.activation_bits}" if self.activation_bits else "")
        parts = [f"gptq-{width}-{self.grouping}", "sym" if self.symmetric else ""]
        parts += ["actorder" if self.activation_order else "", self.ranges.value if self.ranges != Ranges.FRESH else ""]
        return "-".join(part for part in parts if part)

    def __call__(self, layer: nn.Linear, statistic: Statistic | None, *, name: str = "") -> SimulatedLinear:
        """Layer with its weight on the grid."""
        gram = self.measured(GramMatrix, statistic, name)
        weight = layer.weight.detach()
        try:
            quantized = self._quantized(weight.float(), gram.sum)
        except ValueError as error:
            raise ValueError(f"{name or 'the layer'}: {error}") from error
        return SimulatedLinear(
            quantized.weight.to(weight.dtype),
            layer.bias,
            storage=self._storage(quantized, weight),
            note=damping_note(self.damping, quantized.damping),
            activation_bits=self.activation_bits,
            grid=self._grid(quantized, weight.shape[1]),
        )

    def _quantized(self, weight: Tensor, gram: Tensor) -> Quantized:
        return gptq(
            weight,
            gram,
            bits=self.bits,
            grouping=self.grouping,
            symmetric=self.symmetric,
            damping=self.damping,
            activation_order=self.activation_order,
            ranges=self.ranges,
        )

    def _mixed(self, quantized: Quantized) -> bool:
        """True where the order of columns has left groups that are no runs of neighbours."""
        return self.activation_order and self.ranges is not Ranges.STATIC and quantized.scales.shape[1] > 1

    def _grid(self, quantized: Quantized, d_in: int) -> WeightGrid | None:
        if self._mixed(quantized):
            return None
        size = d_in if isinstance(self.grouping, PerRow) else self.grouping.size
        return WeightGrid(self.bits, size, self.symmetric, quantized.scales, quantized.zero_points)

    def _storage(self, quantized: Quantized, weight: Tensor) -> Storage:
        return Storage(
            weights=weight.numel(),
            value_bits=weight.numel() * self.bits,
            scale_bits=quantized.scales.numel() * element_bits(weight),
            zero_point_bits=0 if self.symmetric else quantized.zero_points.numel() * self.bits,
            mask_bits=weight.shape[1] * INDEX_BITS if self._mixed(quantized) else 0,
            held_bits=weight.numel() * element_bits(weight),
        )
