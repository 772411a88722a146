"""Low rank and sparse together: a weight as two thin matrices and the few weights that those miss most.

LoSparse (Li et al. 2023) writes `W = U V + S` and trains all three; `compress.factorisation.low_rank.losparse` has its
training. This is the same sum in one shot, at a budget of bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from compress.factorisation.low_rank.decompose import Factors, truncated_svd
from compress.factorisation.low_rank.layer import LowRankLinear
from compress.method import Method
from compress.selection import smallest
from compress.size import element_bits
from compress.statistics import Statistic


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


def low_rank_and_sparse(weight: Tensor, rank: int, kept: int, *, rounds: int = 4) -> LowRankAndSparse:
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
    """
    if rounds < 1:
        raise ValueError(f"{rounds} rounds; the first factors and residual take 1")
    w = weight.double()
    factors, residual = _round(w, torch.zeros_like(w), rank, kept)
    errors = [_squared_error(w, factors, residual)]
    for _ in range(rounds - 1):
        factors, residual = _round(w, residual, rank, kept)
        errors.append(_squared_error(w, factors, residual))
    rounded = factors.to(weight.dtype)
    residual = _largest(w - rounded.to(torch.float64).product(), kept)
    return LowRankAndSparse(rounded, residual.to(weight.dtype), errors)


def _round(weight: Tensor, residual: Tensor, rank: int, kept: int) -> tuple[Factors, Tensor]:
    """Best factors beside a residual, and then the best residual beside them."""
    factors = truncated_svd(weight - residual, rank)
    return factors, _largest(weight - factors.product(), kept)


def _squared_error(weight: Tensor, factors: Factors, residual: Tensor) -> float:
    return float((weight - factors.product() - residual).square().sum())


def _largest(matrix: Tensor, kept: int) -> Tensor:
    """Matrix with all but so many entries at zero: those of the largest magnitude stay."""
    gone = smallest(matrix.abs().reshape(1, -1), matrix.numel() - kept)
    return matrix.masked_fill(gone.view(matrix.shape), 0)


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
        weight = layer.weight.detach()
        d_out, d_in = weight.shape
        try:
            budget = budget_of(d_out, d_in, element_bits(weight), share=self.share, low_rank=self.low_rank)
        except ValueError as error:
            raise ValueError(f"{name or 'the layer'}: {error}") from error
        made = low_rank_and_sparse(weight, *budget, rounds=self.rounds)
        return LowRankLinear(*made.factors, layer.bias, residual=made.residual)
