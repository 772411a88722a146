"""SparseGPT (Frantar & Alistarh 2023): column by column pruning, the columns that follow making up for what went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from compress.grid import Grid, check_bits, fit_grid, from_codes, to_codes
from compress.layers import SimulatedLinear
from compress.method import Method
from compress.pruning.compensate import BLOCK, INNER, compensated, one_by_one
from compress.pruning.factor import damping_note, inverse_factor
from compress.pruning.patterns import check_pattern, index_bits
from compress.selection import check_fraction, removed_count, smallest
from compress.size import Storage, element_bits, sparse_storage
from compress.statistics import GramMatrix, Statistic


class Pruned(NamedTuple):
    """Result of SparseGPT on one weight."""

    weight: Tensor
    """`[d_out, d_in]`."""
    mask: Tensor
    """True for the weights that went, `[d_out, d_in]` bool."""
    damping: float
    """Damping that the Hessian took, at least the one asked for."""
    precision: torch.dtype
    """In which the Hessian was factored: float32 where that was shown to be accurate enough, else float64."""


@dataclass
class _Pruning:
    """Rule of the solver: which weights of a column go, and on which grid the others are."""

    diagonal: Tensor
    sparsity: float
    n_of_m: tuple[int, int] | None
    grid: Grid | None
    mask: Tensor

    def begin(self, columns: Tensor, start: int, end: int) -> None:
        """Chooses among all weights of the block at once where there is no pattern, so that rows may differ."""
        if self.n_of_m is None:
            scores = self._scores(columns, start, end)
            count = removed_count(self.sparsity, scores.numel())
            self.mask[start:end] = smallest(scores.reshape(1, -1), count).view(scores.shape)

    def _scores(self, columns: Tensor, start: int, end: int) -> Tensor:
        """Cost of dropping each weight (eq. 3): `w² / U_ii²`, `[columns, d_out]`."""
        return (columns[start:end] / self.diagonal[start:end, None]).square()

    def run(self, columns: Tensor, first: int, spread: Tensor, lost: Tensor) -> None:
        """Takes the pruned weights out, and rounds the others if asked."""
        one_by_one(columns, first, spread, lost, lambda index: self._column(columns, index))

    def _column(self, columns: Tensor, index: int) -> Tensor:
        if self.n_of_m is not None and index % self.n_of_m[1] == 0:
            n, m = self.n_of_m
            scores = self._scores(columns, index, index + m)
            self.mask[index : index + m] = smallest(scores.T.contiguous(), m - n).T
        kept = columns[index]
        if self.grid is not None:
            kept = from_codes(to_codes(kept, self.grid), self.grid)
        return kept.masked_fill(self.mask[index], 0)


def sparsegpt(
    weight: Tensor,
    gram: Tensor,
    *,
    sparsity: float,
    n_of_m: tuple[int, int] | None = None,
    bits: int | None = None,
    damping: float = 0.01,
    block: int = BLOCK,
) -> Pruned:
    """Prunes a weight, and rounds what is kept where `bits` are given, so that its outputs change little.

    Of every block of 128 columns exactly `round(sparsity * weights)` go; with `n_of_m` all but n of every m
    neighbouring inputs, chosen when the first of them is reached. Rounding is to one asymmetric grid a row,
    fixed before pruning.

    Args:
        weight: `[d_out, d_in]`.
        gram: Σ x xᵀ of its inputs, `[d_in, d_in]`.
        sparsity: the share that goes.
        n_of_m: (n, m); m must divide the inputs.
        bits: 2 to 8, or None for no rounding.
        damping: of the mean diagonal, added to the Hessian's.
        block: columns among which weights are compared; without a pattern it belongs to the result.

    Raises:
        ValueError: m does not divide the inputs, or a Hessian that is not positive definite.
    """
    d_out, d_in = weight.shape
    if n_of_m is not None and d_in % n_of_m[1]:
        raise ValueError(f"cannot cut {d_in} inputs into groups of {n_of_m[1]} for {n_of_m[0]}:{n_of_m[1]} sparsity")
    factor = inverse_factor(gram, damping, weight.dtype)
    weight = weight.masked_fill(factor.dead, 0)
    grid = None
    if bits is not None:
        check_bits(bits)
        rows = fit_grid(weight, bits, symmetric=False)
        grid = rows._replace(scale=rows.scale[:, 0], zero_point=rows.zero_point[:, 0])
    if n_of_m is not None:
        block = max(1, block // n_of_m[1]) * n_of_m[1]
    mask = torch.zeros(d_in, d_out, dtype=torch.bool, device=weight.device)
    rule = _Pruning(factor.upper.diagonal().to(weight.dtype), sparsity, n_of_m, grid, mask)
    inner = INNER if n_of_m is None or INNER % n_of_m[1] == 0 else n_of_m[1]
    kept = compensated(weight, factor.upper, rule, block=block, inner=inner)
    return Pruned(kept, rule.mask.T.contiguous(), factor.damping, factor.upper.dtype)


@dataclass(frozen=True)
class SparseGPT(Method):
    """Pruning with compensation, and rounding of what is kept if `bits` are given (Frantar & Alistarh 2023)."""

    sparsity: float
    n_of_m: tuple[int, int] | None = None
    bits: int | None = None
    damping: float = 0.01
    statistic: ClassVar[type[Statistic] | None] = GramMatrix

    def __post_init__(self) -> None:
        check_fraction("sparsity", self.sparsity)
        check_pattern(self.n_of_m, self.sparsity)
        if self.bits is not None:
            check_bits(self.bits)

    def __str__(self) -> str:
        pattern = "" if self.n_of_m is None else f"-{self.n_of_m[0]}of{self.n_of_m[1]}"
        return f"sparsegpt-{self.sparsity:g}{pattern}{'' if self.bits is None else f'-w{self.bits}'}"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None, *, name: str = "") -> SimulatedLinear:
        """Layer with fewer weights."""
        gram = self.measured(GramMatrix, statistic, name)
        weight = layer.weight.detach()
        try:
            pruned = self._pruned(weight.float(), gram.sum)
        except ValueError as error:
            raise ValueError(f"{name or 'the layer'}: {error}") from error
        kept = pruned.weight.to(weight.dtype)
        storage = self._storage(kept, int((~pruned.mask).sum()))
        return SimulatedLinear(kept, layer.bias, storage=storage, note=damping_note(self.damping, pruned.damping))

    def _pruned(self, weight: Tensor, gram: Tensor) -> Pruned:
        return sparsegpt(weight, gram, sparsity=self.sparsity, n_of_m=self.n_of_m, bits=self.bits, damping=self.damping)

    def _storage(self, weight: Tensor, kept: int) -> Storage:
        """Size of a pruned weight of which `kept` are left, zeros among them where they were rounded to that."""
        places = None if self.n_of_m is None else index_bits(self.n_of_m)
        storage = sparse_storage(weight, index_bits=places)
        if self.bits is None:
            return storage
        rows = weight.shape[0]
        return Storage(
            weight.numel(),
            value_bits=kept * self.bits,
            scale_bits=rows * element_bits(weight),
            zero_point_bits=rows * self.bits,
            held_bits=storage.held_bits,
            mask_bits=weight.numel() if places is None else kept * places,
        )
