"""Low rank and sparse together: a weight as two thin matrices and the few weights that those miss most.

LoSparse (Li et al. 2023) writes `W = U V + S` and trains all three; `compress.factorisation.low_rank.losparse` has its
training. This is the same sum in one shot, at a budget of bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from compress.factorisation.low_rank.decompose import Factors, truncated_svd
from compress.factorisation.low_rank.layer import LowRankLinear
from compress.method import Method
from compress.selection import smallest
from compress.size import element_bits
from compress.statistics import SquaredInputs, Statistic


class Budget(NamedTuple):
    """Rank and weights that a share of a dense layer's bits pays for."""

    rank: int
    kept: int
    """Number of weights in the sparse part, each with its value; the mask has one bit for every weight."""


def budget_of(d_out: int, d_in: int, bits: int, *, share: float, low_rank: float) -> Budget:
    """Rank and weights within a share of the dense weight's bits, of which no more than one weight's are left over.

    Args:
        d_out: rows of the weight.
        d_in: its columns.
        bits: of one value.
        share: of the dense weight's bits that factors, values and mask may take together.
        low_rank: share of the dense weight's parameters that the factors have: r = ⌈low_rank · d_out d_in / (d_out +
            d_in)⌉, as LoSparse's program rounds.

    Raises:
        ValueError: nothing is left for the sparse part.
    """
    weights = d_out * d_in
    rank = math.ceil(low_rank * weights / (d_out + d_in))
    left = math.floor(share * weights * bits) - rank * (d_out + d_in) * bits - weights
    if left < bits:
        least = (rank * (d_out + d_in) * bits + weights + bits) / (weights * bits)
        raise ValueError(
            f"a share of {share:g} of a {d_out} x {d_in} weight's bits leaves none for weights beside rank {rank} and "
            f"their mask; give a share above {least:.3g} or a smaller low_rank"
        )
    return Budget(rank, min(left // bits, weights))


class LowRankAndSparse(NamedTuple):
    """Parts of a weight."""

    factors: Factors
    residual: Tensor
    """S, `[d_out, d_in]`, with its zeros."""
    errors: list[float]
    """`‖W - U V - S‖²_F` after each round, in float64; they do not rise."""


def low_rank_and_sparse(
    weight: Tensor, rank: int, kept: int, *, rounds: int = 4, by_row: bool = False
) -> LowRankAndSparse:
    """Parts of a weight, by two steps in turn, each exact while the other part stays.

    For a given S the best factors are the truncated SVD of `W - S`; for given factors the best S of so many weights
    holds the largest magnitudes of `W - U V`, of equal ones the last. The first round starts from the SVD of W, as
    LoSparse does. Factors are rounded to the weight's dtype before the last S is taken, which then makes up for some of
    that too.

    Args:
        weight: W `[d_out, d_in]`.
        rank: r.
        kept: number of weights in S.
        rounds: at least 1.
        by_row: keep as many weights of every row as of any other, the few that are left over wherever they are largest.
    """
    if rounds < 1:
        raise ValueError(f"{rounds} rounds; the first factors and residual take 1")
    w = weight.double()
    factors = truncated_svd(w, rank)
    residual = _largest(w - factors.product(), kept, by_row)
    errors = [_squared_error(w, factors, residual)]
    for _ in range(rounds - 1):
        factors = truncated_svd(w - residual, rank)
        residual = _largest(w - factors.product(), kept, by_row)
        errors.append(_squared_error(w, factors, residual))
    rounded = factors.to(weight.dtype)
    residual = _largest(w - rounded.to(torch.float64).product(), kept, by_row)
    return LowRankAndSparse(rounded, residual.to(weight.dtype), errors)


def _squared_error(weight: Tensor, factors: Factors, residual: Tensor) -> float:
    return float((weight - factors.product() - residual).square().sum())


def _largest(matrix: Tensor, kept: int, by_row: bool) -> Tensor:
    """Matrix with all but so many entries at zero: those of the largest magnitude stay, of all or of every row."""
    sizes, stay = matrix.abs(), torch.zeros_like(matrix, dtype=torch.bool)
    if by_row:
        stay = ~smallest(sizes, matrix.shape[1] - kept // matrix.shape[0])
        sizes, kept = sizes.masked_fill(stay, -1.0), kept % matrix.shape[0]
    stay |= ~smallest(sizes.reshape(1, -1), matrix.numel() - kept).view(matrix.shape)
    return matrix.masked_fill(~stay, 0)


@dataclass(frozen=True)
class LowRankPlusSparse(Method):
    """Replacement of every weight by two thin matrices and a sparse residual, within a share of its bytes."""

    share: float
    """Share of the dense layer's bytes that factors, kept values and mask take."""
    low_rank: float = 0.05
    """Share of the dense layer's parameters that the factors have; LoSparse's own scripts give 0.05."""
    rounds: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.low_rank < self.share < 1:
            raise ValueError(
                f"low_rank is {self.low_rank} and share {self.share}; the factors' share must be above 0 and below the "
                "whole share, and that below 1"
            )
        if self.rounds < 1:
            raise ValueError(f"rounds is {self.rounds}; it must be at least 1")

    def __str__(self) -> str:
        return f"low-rank-{self.low_rank:g}-and-sparse-{self.share:g}"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> LowRankLinear:
        """Layer of factors and residual, as large as the share allows."""
        budget = self._budget(layer.weight, name)
        made = low_rank_and_sparse(layer.weight.detach(), *budget, rounds=self.rounds)
        return LowRankLinear(*made.factors, layer.bias, residual=made.residual)

    def _budget(self, weight: Tensor, name: str) -> Budget:
        d_out, d_in = weight.shape
        try:
            return budget_of(d_out, d_in, element_bits(weight), share=self.share, low_rank=self.low_rank)
        except ValueError as error:
            raise ValueError(f"{name or 'the layer'}: {error}") from error


LEAST_SCALE = 1e-6
"""Scale of an input that was never anything but zero, over the largest."""


@dataclass(frozen=True)
class ScaledLowRankPlusSparse(LowRankPlusSparse):
    """Low rank and sparse in one shot with inputs to scale, as OATS has it (Zhang & Papyan 2024); an extension.

    Every column of the weight counts by the root of its input's mean square, as in Wanda: `W D` is decomposed, and both
    right factor and residual are divided by D. Every row keeps as many weights.
    """

    statistic: ClassVar[type[Statistic] | None] = SquaredInputs
    resumable: ClassVar[bool] = False
    """A folder of kept blocks holds layers of one dense weight alone."""

    def __str__(self) -> str:
        return f"scaled-{super().__str__()}"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> LowRankLinear:
        """Layer of factors and residual, as large as the share allows."""
        roots = self.measured(SquaredInputs, statistic, name).mean.double().sqrt()
        if not roots.isfinite().all():
            raise ValueError(f"{name or 'the layer'}: the squared inputs hold NaN or infinity; calibration overflowed")
        scale = roots.clamp(min=LEAST_SCALE * float(roots.max())) if roots.any() else torch.ones_like(roots)
        weight, budget = layer.weight.detach(), self._budget(layer.weight, name)
        made = low_rank_and_sparse(weight.double() * scale, *budget, rounds=self.rounds, by_row=True)
        right, residual = (part.div(scale).to(weight.dtype) for part in (made.factors.right, made.residual))
        return LowRankLinear(made.factors.left.to(weight.dtype), right, layer.bias, residual=residual)
