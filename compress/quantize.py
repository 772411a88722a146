"""Round-to-nearest on integer grids: codes, scales, zero points, and how a tensor is cut into groups.

Every function works on the last axis, `[..., members]`, with one scale (and zero point) a group, `[..., 1]`.

Symmetric grids have the codes `-top..top` with `top = 2^(bits-1) - 1` and no zero point. Asymmetric grids have
the codes `0..2^bits - 1`; their range is extended to include 0, so that a zero point between the codes always
exists and a group of one sign keeps its differences (a clamped zero point would collapse it to one value).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

FEWEST_BITS, MOST_BITS = 2, 8


def check_bits(bits: int) -> None:
    """Raise ValueError unless `bits` is a whole number from 2 to 8."""
    if bits not in range(FEWEST_BITS, MOST_BITS + 1):
        raise ValueError(f"bits is {bits!r}; integer grids here have {FEWEST_BITS} to {MOST_BITS} bits")


class Grid(NamedTuple):
    """The values a group may take: `(code - zero_point) * scale` for codes in `lowest..highest`."""

    scale: Tensor
    zero_point: Tensor
    lowest: int
    highest: int


def fit_grid(values: Tensor, bits: int, *, symmetric: bool) -> Grid:
    """The grid whose ends are the extremes of each group: `[..., members]` -> scales `[..., 1]`.

    Asymmetric: `scale = (max - min) / (2^bits - 1)`, `zero_point = round(-min / scale)` with min <= 0 <= max.
    Symmetric: `scale = max|w| / (2^(bits-1) - 1)`. The scale is never zero: a group too small to divide gets
    the smallest normal number, and so the code of 0.
    """
    tiny = torch.finfo(values.dtype).tiny
    if symmetric:
        top = 2 ** (bits - 1) - 1
        scale = (values.abs().amax(-1, keepdim=True) / top).clamp_min(tiny)
        return Grid(scale, torch.zeros_like(scale), -top, top)
    steps = 2**bits - 1
    low = values.amin(-1, keepdim=True).clamp_max(0)
    high = values.amax(-1, keepdim=True).clamp_min(0)
    # Divided one by one: the difference of two large weights of opposite sign can overflow.
    scale = (high / steps - low / steps).clamp_min(tiny)
    return Grid(scale, (-low / scale).round(), 0, steps)


def to_codes(values: Tensor, grid: Grid) -> Tensor:
    """Nearest codes, as whole numbers in the dtype of `values`. Ties go to even, as torch.round has it."""
    return (values / grid.scale).round_().add_(grid.zero_point).clamp_(grid.lowest, grid.highest)


def from_codes(codes: Tensor, grid: Grid) -> Tensor:
    """The values that codes stand for."""
    return (codes - grid.zero_point).mul_(grid.scale)


def fake_quantize(values: Tensor, bits: int, *, symmetric: bool = False) -> Tensor:
    """`values [..., members]` moved to the nearest point of each group's own grid."""
    grid = fit_grid(values, bits, symmetric=symmetric)
    return to_codes(values, grid).sub_(grid.zero_point).mul_(grid.scale)


def code_bits(codes: Tensor) -> int:
    """The bits that codes in use really need: enough for the span from the lowest to the highest."""
    return max(1, int(codes.max() - codes.min()).bit_length())


@dataclass(frozen=True)
class PerTensor:
    """One group: the whole weight."""

    def cut(self, weight: Tensor) -> Tensor:
        """`[d_out, d_in]` -> `[1, 1, d_out * d_in]`."""
        return rearrange(weight, "d_out d_in -> 1 1 (d_out d_in)")

    def join(self, groups: Tensor, d_in: int) -> Tensor:
        """The inverse of `cut`."""
        return rearrange(groups, "1 1 (d_out d_in) -> d_out d_in", d_in=d_in)

    def __str__(self) -> str:
        return "tensor"


@dataclass(frozen=True)
class PerRow:
    """A group for every output."""

    def cut(self, weight: Tensor) -> Tensor:
        """`[d_out, d_in]` -> `[d_out, 1, d_in]`."""
        return rearrange(weight, "d_out d_in -> d_out 1 d_in")

    def join(self, groups: Tensor, d_in: int) -> Tensor:
        """The inverse of `cut`."""
        return rearrange(groups, "d_out 1 d_in -> d_out d_in")

    def __str__(self) -> str:
        return "row"


@dataclass(frozen=True)
class PerGroup:
    """Groups of `size` neighbouring inputs of one output; the last of a row may be shorter."""

    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"group size is {self.size}; it must be at least 1")

    def cut(self, weight: Tensor) -> Tensor:
        """`[d_out, d_in]` -> `[d_out, ceil(d_in / size), size]`.

        A short last group is filled up with zeros, which change no range: all grids include 0.
        """
        missing = -weight.shape[1] % self.size
        return rearrange(functional.pad(weight, (0, missing)), "d_out (n g) -> d_out n g", g=self.size)

    def join(self, groups: Tensor, d_in: int) -> Tensor:
        """The inverse of `cut`: the filling is dropped."""
        return rearrange(groups, "d_out n g -> d_out (n g)")[:, :d_in].contiguous()

    def lengths(self, d_in: int) -> list[int]:
        """How many weights each group of a row really holds."""
        return [min(self.size, d_in - start) for start in range(0, d_in, self.size)]

    def __str__(self) -> str:
        return f"g{self.size}"


Grouping = PerTensor | PerRow | PerGroup


def protected_count(fraction: float, groups: int) -> int:
    """How many groups stay at the higher precision: the whole number nearest to `fraction * groups`."""
    return math.floor(fraction * groups + 0.5)
