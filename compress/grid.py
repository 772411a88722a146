"""Integer grids: codes, scales and zero points, and rounding to the nearest point.

Every function works on the last axis, `[..., members]`, with one scale (and zero point) a group, `[..., 1]`.

Symmetric grids have the codes `-top..top` with `top = 2^(bits-1) - 1` and no zero point. Asymmetric grids have
the codes `0..2^bits - 1`; their range is extended to include 0, so that a zero point between the codes always
exists and a group of one sign keeps its differences (a clamped zero point would collapse it to one value).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

FEWEST_BITS, MOST_BITS = 2, 8


def check_bits(bits: int) -> None:
    """Raises ValueError unless `bits` is a whole number from 2 to 8."""
    if bits not in range(FEWEST_BITS, MOST_BITS + 1):
        raise ValueError(f"bits is {bits!r}; integer grids here have {FEWEST_BITS} to {MOST_BITS} bits")


class Grid(NamedTuple):
    """Values that a group may take: `(code - zero_point) * scale` for codes in `lowest..highest`."""

    scale: Tensor
    zero_point: Tensor
    lowest: int
    highest: int


def fit_grid(values: Tensor, bits: int, *, symmetric: bool) -> Grid:
    """Grid whose ends are the extremes of each group: `[..., members]` -> scales `[..., 1]`.

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
    """Values that codes stand for."""
    return (codes - grid.zero_point).mul_(grid.scale)


def fake_quantize(values: Tensor, bits: int, *, symmetric: bool = False, exempt: Tensor | None = None) -> Tensor:
    """Moves `values [..., members]` to the nearest points of each group's own grid.

    Args:
        values: `[..., members]`.
        bits: 2 to 8.
        symmetric: see `fit_grid`.
        exempt: `[members]`, True for members that stay as they are and count for no range.
    """
    if exempt is not None:
        others = fake_quantize(values.masked_fill(exempt, 0), bits, symmetric=symmetric)
        return torch.where(exempt, values, others)
    grid = fit_grid(values, bits, symmetric=symmetric)
    return to_codes(values, grid).sub_(grid.zero_point).mul_(grid.scale)


def code_bits(codes: Tensor) -> int:
    """Bits that the codes in use need: enough for the span from the lowest to the highest."""
    return max(1, int(codes.max() - codes.min()).bit_length())
