"""Column by column rounding, as a rule of the solver in `compress.pruning.compensate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import torch
from torch import Tensor

from compress.grid import Grid, fit_grid, from_codes, to_codes
from compress.pruning.compensate import one_by_one

MOST_STEPS = 1e30
"""Limit to counting columns in steps of their grid: where what others lost comes into a group of zeros, whose
scale is the smallest there is, products of steps could overflow."""


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
        """Copies the columns where the reference's ranges are asked for."""
        if self.ranges is Ranges.REFERENCE:
            self.stale = columns.clone()

    def run(self, columns: Tensor, first: int, spread: Tensor, lost: Tensor) -> None:
        """Rounds a run of columns: in steps of their grid where they share one, which leaves little to do for each."""
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
        """Grid of a column's group; the first column of a group to come fits it."""
        group = self.group_of[index]
        if group not in self.grids:
            source = columns if self.stale is None else self.stale
            self._fit(group, source[group * self.size : (group + 1) * self.size].T)
        return self.grids[group]
