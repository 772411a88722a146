"""Optimal Brain Quantization (Frantar & Alistarh 2022, § 5): exact, one weight of every row at a time.

GPTQ is this with one order for all rows (Frantar et al. 2023, § 3.1), so that its inverse Hessian serves all of them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from compress.grid import check_bits, fit_grid, from_codes, to_codes
from compress.pruning.elimination import ROWS, Elimination, check_inputs, inverse_of, scaled_rows
from compress.pruning.factor import inverse_factor


class Rounded(NamedTuple):
    """Result of Optimal Brain Quantization on one weight."""

    weight: Tensor
    """`[d_out, d_in]`."""
    damping: float
    """Damping that the Hessian took, at least the one asked for."""


def obq(weight: Tensor, gram: Tensor, *, bits: int, damping: float = 0.01, rows: int = ROWS) -> Rounded:
    """Rounds every row to an asymmetric grid of its own: the free weight whose rounding costs least, and so on.

    A weight that was moved by more than half a step off its grid's end is rounded at once, as it would only be moved
    further (§ 5). The grid is fixed beforehand. Weights of inputs that were always zero become zero.

    Args:
        weight: `[d_out, d_in]`.
        gram: Σ x xᵀ of its inputs, `[d_in, d_in]`.
        bits: 2 to 8.
        damping: of the mean diagonal, added to the Hessian's, raised where that is not positive definite.
        rows: worked on together, `8 rows d_in²` bytes; changes nothing of the result.

    Raises:
        ValueError: bits outside the format, too many inputs, NaN or infinity, or a Hessian that no damping makes
            positive definite.
    """
    check_bits(bits)
    check_inputs(weight.shape[1])
    factor = inverse_factor(gram, damping)
    inverse = inverse_of(factor)
    whole, largest = scaled_rows(weight.masked_fill(factor.dead, 0))
    done = torch.empty_like(whole)
    for start in range(0, len(whole), rows):
        part = slice(start, start + rows)
        done[part] = _rounded(whole[part], inverse, bits)
    return Rounded((done * largest).to(weight.dtype), factor.damping)


def _rounded(weight: Tensor, inverse: Tensor, bits: int) -> Tensor:
    grid = fit_grid(weight, bits, symmetric=False)
    state = Elimination(weight, inverse, weight.shape[1])
    for _ in range(weight.shape[1]):
        values = from_codes(to_codes(state.weight, grid), grid)
        lost = state.weight - values
        costs = lost.square().div_(state.diagonal)
        costs.masked_fill_(lost.abs() > grid.scale * (0.5 + 1e-9), -1).masked_fill_(~state.free, torch.inf)
        chosen = costs.argmin(1, keepdim=True)
        state.take(chosen, values.gather(1, chosen))
    return state.weight
