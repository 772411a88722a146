"""GPTQ (Frantar et al. 2023): round column by column, the columns that follow making up for what was lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

import torch
from torch import Tensor, nn

from compress.compensate import BLOCK, INNER, compensated, damping_note, inverse_factor, one_by_one
from compress.layers import SimulatedLinear, WeightGrid
from compress.methods import Method
from compress.quantize import Grid, PerGroup, PerRow, PerTensor, check_bits, fit_grid, from_codes, to_codes
from compress.size import Storage, element_bits
from compress.statistics import GramMatrix, Statistic

INDEX_BITS = 16
"""Of a column's group, where the order of columns has mixed them."""
MOST_STEPS = 1e30
"""Above it, columns are not counted in steps of their grid: where what others lost comes into a group of zeros, whose
scale is the smallest there is, products of steps could overflow."""


class Ranges(Enum):
    """Which weights a group's range is taken from when its first column is reached."""

    FRESH = "fresh"
    """As they are then."""
    REFERENCE = "reference"
    """Without the updates made inside the current block of 128, as the authors' code has it."""
    STATIC = "static"
    """As they were before anything was rounded."""


@dataclass
class _Rounding:
    """The rule of the solver: every column to the nearest point of its group's grid."""

    weight: Tensor
    bits: int
    size: int
    symmetric: bool
    ranges: Ranges
    order: Tensor
    codes: Tensor = field(init=False)
    scales: list[Tensor] = field(default_factory=list)
    zero_points: list[Tensor] = field(default_factory=list)
    grids: dict[int, Grid] = field(default_factory=dict)
    stale: Tensor | None = None

    def __post_init__(self) -> None:
        self.codes = torch.empty_like(self.weight.T)
        self.groups = (self.order if self.ranges is Ranges.STATIC else torch.arange(len(self.order))) // self.size
        self.group_of = self.groups.tolist()
        if self.ranges is Ranges.STATIC:
            for group in range(-(-len(self.order) // self.size)):
                self._fit(group, self.weight[:, (self.groups == group).to(self.weight.device)])

    def _fit(self, group: int, members: Tensor) -> None:
        grid = fit_grid(members, self.bits, symmetric=self.symmetric)
        self.scales.append(grid.scale)
        self.zero_points.append(grid.zero_point)
        self.grids[group] = grid._replace(scale=grid.scale[:, 0], zero_point=grid.zero_point[:, 0])

    def begin(self, columns: Tensor, start: int, end: int) -> None:
        """Keep the columns as they are where the reference's ranges are asked for."""
        if self.ranges is Ranges.REFERENCE:
            self.stale = columns.clone()

    def run(self, columns: Tensor, first: int, spread: Tensor, lost: Tensor) -> None:
        """Round a run of columns: in steps of their grid where they share one, which leaves little to do for each."""
        own = columns[first : first + len(lost)]
        if len(set(self.group_of[first : first + len(own)])) == 1:
            grid = self._grid(columns, first)
            steps = own / grid.scale
            lowest, highest = steps.aminmax()
            if -MOST_STEPS < float(lowest) and float(highest) < MOST_STEPS:
                self._run_in_steps(steps, grid, first, spread, lost)
                torch.mul(steps, grid.scale, out=own)
                return
        one_by_one(columns, first, spread, lost, lambda index: self._column(columns, index))

    def _run_in_steps(self, steps: Tensor, grid: Grid, first: int, spread: Tensor, lost: Tensor) -> None:
        codes = self.codes[first : first + len(steps)]
        lowest, highest = grid.lowest - grid.zero_point, grid.highest - grid.zero_point
        for index, (step, code, own) in enumerate(zip(steps, codes, lost, strict=True)):
            torch.round(step, out=code).clamp_(lowest, highest)
            torch.sub(step, code, out=own)
            steps[index + 1 :].addr_(spread[index, index + 1 :], own, alpha=-1)
        steps.copy_(codes)
        codes += grid.zero_point
        lost.mul_(grid.scale)

    def _column(self, columns: Tensor, index: int) -> Tensor:
        grid = self._grid(columns, index)
        self.codes[index] = to_codes(columns[index], grid)
        return from_codes(self.codes[index], grid)

    def _grid(self, columns: Tensor, index: int) -> Grid:
        """That of a column's group; the first column of a group to come fits it."""
        group = self.group_of[index]
        if group not in self.grids:
            source = columns if self.stale is None else self.stale
            self._fit(group, source[group * self.size : (group + 1) * self.size].T)
        return self.grids[group]


@dataclass(frozen=True)
class Quantized:
    """What GPTQ gives, with columns where they were."""

    weight: Tensor
    """`[d_out, d_in]`."""
    codes: Tensor
    """Whole numbers, `[d_out, d_in]`."""
    scales: Tensor
    """`[d_out, groups]`."""
    zero_points: Tensor
    """`[d_out, groups]`."""
    groups: Tensor
    """The group of each column, `[d_in]`."""
    damping: float
    """What the Hessian took, at least what was asked."""


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
    """Quantize a weight so that its outputs on the calibration inputs change little.

    Inputs that were zero throughout the calibration get weight zero, as in the authors' code.

    Args:
        weight: `[d_out, d_in]`.
        gram: Σ x xᵀ of its inputs, `[d_in, d_in]`.
        bits: 2 to 8.
        grouping: one grid a row, or one for each group of a row.
        symmetric: see `compress.quantize.fit_grid`.
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
    factor, dead, used = inverse_factor(gram, damping)
    if dead.any():
        weight = weight.masked_fill(dead, 0)
    rule = _Rounding(weight, bits, size, symmetric, ranges, torch.arange(d_in) if order is None else order.cpu())
    if ranges is not Ranges.REFERENCE:  # a group never lies across the end of a block
        block = max(1, block // size) * size if size < d_in else block
    # A group's range is taken when its first column is reached, so that one must begin an inner block.
    looks_ahead = ranges is Ranges.FRESH and size < d_in
    inner = INNER if not looks_ahead or size % INNER == 0 else min(size, block)
    found = compensated(weight, factor, rule, block=block, inner=inner)
    codes, groups = rule.codes.T, rule.groups.to(weight.device)
    if order is not None:
        back = order.argsort()
        found, codes, groups = found[:, back], codes[:, back], groups[back]
    return Quantized(found, codes, torch.cat(rule.scales, 1), torch.cat(rule.zero_points, 1), groups, used)


@dataclass(frozen=True)
class GPTQ(Method):
    """Round weights column by column with compensation (Frantar et al. 2023)."""

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
        """The layer with its weight on the grid."""
        if not isinstance(statistic, GramMatrix) or not statistic.tokens:
            raise TypeError(f"GPTQ needs the Gram matrix of the inputs of {name or 'the layer'}; calibrate first")
        weight = layer.weight.detach()
        try:
            found = gptq(
                weight.float(),
                statistic.sum,
                bits=self.bits,
                grouping=self.grouping,
                symmetric=self.symmetric,
                damping=self.damping,
                activation_order=self.activation_order,
                ranges=self.ranges,
            )
        except ValueError as error:
            raise ValueError(f"{name or 'the layer'}: {error}") from error
        return SimulatedLinear(
            found.weight.to(weight.dtype),
            layer.bias,
            storage=self._storage(found, weight),
            note=damping_note(self.damping, found.damping),
            activation_bits=self.activation_bits,
            grid=self._grid(found, weight.shape[1]),
        )

    def _mixed(self, found: Quantized) -> bool:
        """Whether the order of columns has left groups that are no runs of neighbours."""
        return self.activation_order and self.ranges is not Ranges.STATIC and found.scales.shape[1] > 1

    def _grid(self, found: Quantized, d_in: int) -> WeightGrid | None:
        if self._mixed(found):
            return None
        size = d_in if isinstance(self.grouping, PerRow) else self.grouping.size
        return WeightGrid(self.bits, size, self.symmetric, found.scales, found.zero_points)

    def _storage(self, found: Quantized, weight: Tensor) -> Storage:
        return Storage(
            weights=weight.numel(),
            value_bits=weight.numel() * self.bits,
            scale_bits=found.scales.numel() * element_bits(weight),
            zero_point_bits=0 if self.symmetric else found.zero_points.numel() * self.bits,
            mask_bits=weight.shape[1] * INDEX_BITS if self._mixed(found) else 0,
            held_bits=weight.numel() * element_bits(weight),
        )
