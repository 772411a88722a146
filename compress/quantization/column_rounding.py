"""Column by column rounding, as a rule of the solver in `compress.pruning.compensate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor

from compress.grid import Grid, fit_grid, from_codes, to_codes
from compress.pruning.compensate import one_by_one

LEAST_STEP = 1e-25
"""Smallest step of a grid, as a share of the largest weight. A group with a smaller one is all but zero and is given
zeros: counted in such steps, what other columns lost into it would overflow."""


class _Steps(NamedTuple):
    """Grid as whole columns are counted on it, each tensor `[d_out]`."""

    unit: Tensor
    lowest: Tensor
    """Number of steps at the grid's lower end."""
    highest: Tensor


class Ranges(Enum):
    """State of the weights that a group's range is taken from."""

    FRESH = "fresh"
    """When its first column is reached."""
    REFERENCE = "reference"
    """Then, but without the updates made inside the current block of 128, as the authors' code has it."""
    STATIC = "static"
    """Before anything is rounded."""


@dataclass
class ColumnRounding:
    """Rule of the solver: every column to the nearest point of its group's grid."""

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
    steps: dict[int, _Steps] = field(default_factory=dict)
    stale: Tensor | None = None

    def __post_init__(self) -> None:
        self.codes = torch.empty_like(self.weight.T, memory_format=torch.contiguous_format)
        self.groups = (self.order if self.ranges is Ranges.STATIC else torch.arange(len(self.order))) // self.size
        self.group_of = self.groups.tolist()
        self.largest = self.weight.abs().amax()
        if self.ranges is Ranges.STATIC:
            members = self.groups.argsort(stable=True).split(self.size)
            for group, columns in enumerate(members):
                self._fit(group, self.weight[:, columns.to(self.weight.device)])

    def _fit(self, group: int, members: Tensor) -> None:
        grid = fit_grid(members, self.bits, symmetric=self.symmetric)
        self.scales.append(grid.scale)
        self.zero_points.append(grid.zero_point)
        self.grids[group] = grid = grid._replace(scale=grid.scale[:, 0], zero_point=grid.zero_point[:, 0])
        # On the device, row by row: a look at the scales from here would make a GPU wait for each group.
        empty = grid.scale < self.largest * LEAST_STEP
        ends = (end - grid.zero_point for end in (grid.lowest, grid.highest))
        self.steps[group] = _Steps(
            torch.where(empty, self.largest, grid.scale), *(end.masked_fill(empty, 0) for end in ends)
        )

    def begin(self, columns: Tensor, start: int, end: int) -> None:
        """Copies the columns where the reference's ranges are asked for."""
        if self.ranges is Ranges.REFERENCE:
            self.stale = columns.clone()

    def run(self, columns: Tensor, first: int, spread: Tensor, lost: Tensor) -> None:
        """Rounds a run of columns: in steps of their grid where they share one, which leaves little to do for each."""
        if len(set(self.group_of[first : first + len(lost)])) == 1:
            self._run_in_steps(columns, first, spread, lost)
        else:
            one_by_one(columns, first, spread, lost, lambda index: self._column(columns, index))

    def _run_in_steps(self, columns: Tensor, first: int, spread: Tensor, lost: Tensor) -> None:
        grid = self._grid(columns, first)
        unit, lowest, highest = self.steps[self.group_of[first]]
        own, codes = (whole[first : first + len(lost)] for whole in (columns, self.codes))
        steps = own / unit
        for index, (step, code, part) in enumerate(zip(steps, codes, lost, strict=True)):
            torch.round(step, out=code).clamp_(lowest, highest)
            torch.sub(step, code, out=part)
            steps[index + 1 :].addr_(spread[index, index + 1 :], part, alpha=-1)
        torch.mul(codes, unit, out=own)
        codes += grid.zero_point
        lost.mul_(unit)

    def _column(self, columns: Tensor, index: int) -> Tensor:
        grid = self._grid(columns, index)
        self.codes[index] = to_codes(columns[index], grid)
        return from_codes(self.codes[index], grid)

    def _grid(self, columns: Tensor, index: int) -> Grid:
        """Grid of a column's group; the first column of a group to come fits it."""
        group = self.group_of[index]
        if group not in self.grids:
            source = columns if self.stale is None else self.stale
            self._fit(group, source[group * self.size : (group + 1) * self.size].T)
        return self.grids[group]
