"""Best factors of a weight at a given rank: in the Frobenius norm, weighted by rows, or by the inputs.

Notation: a weight W `[d_out, d_in]` is approximated by `U V` with left factor U `[d_out, r]` and right factor V
`[r, d_in]`. All is decomposed in float64 and given in the weight's dtype. Each pair of a column of U and a row of V
shares its length evenly (U = U' √Σ, V = √Σ V'), so that both train at one rate.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from compress.factorisation.kronecker.sums import van_loan
from compress.factorisation.low_rank.rank import check_rank

LEAST_IMPORTANCE = 1e-12
"""Importance of a row that has none, over the largest: it takes no rank from others, and is fitted with theirs."""


class Factors(NamedTuple):
    """Two thin matrices whose product stands for a weight."""

    left: Tensor
    """U, `[d_out, r]`."""
    right: Tensor
    """V, `[r, d_in]`."""

    def product(self) -> Tensor:
        """Matrix that they stand for, `[d_out, d_in]`."""
        return self.left @ self.right

    def to(self, dtype: torch.dtype) -> Factors:
        """Factors in a dtype."""
        return Factors(self.left.to(dtype), self.right.to(dtype))


def truncated_svd(weight: Tensor, rank: int) -> Factors:
    """Factors nearest to a weight in the Frobenius norm (Eckart & Young 1936): its leading singular triplets.

    The squared error is the sum of the squares of the other singular values. A sum of Kronecker products whose factors
    are columns and rows is just this, so `van_loan` finds it: the weight is projected onto the leading eigenvectors of
    the Gram matrix of its shorter side. That takes half of `torch.linalg.svd`'s time (SmolLM2-135M's 210 layers: 8 s
    on one core, against 17), and its approximation error is as exact: an error in a subspace enters it only in second
    order, and only directions below 1e-8 of the largest singular value get lost.

    Args:
        weight: W `[d_out, d_in]`.
        rank: r, up to the full rank `min(d_out, d_in)`, at which the product is the weight.

    Raises:
        ValueError: a rank that the weight does not have.
    """
    d_out, d_in = weight.shape
    check_rank(rank, d_out, d_in)
    columns, rows = van_loan(weight, (d_out, 1), rank)
    return Factors(columns[..., 0].T.contiguous(), rows[:, 0].contiguous())


def row_weighted_svd(weight: Tensor, importance: Tensor, rank: int) -> Factors:
    """Factors that minimise `Σ_i I_i ‖W_i - (U V)_i‖²` over rows i (Hsu et al. 2022, eq. 5 and 6).

    V holds the r leading right singular vectors of `diag(√I) W`, and `U = W Vᵀ`, which is the paper's
    `diag(1/√I) U' Σ` without its division. Importances reach over many powers of ten, which a Gram matrix would
    square: this one is a full SVD. A row without importance counts as `LEAST_IMPORTANCE` of the largest; if no row has
    any, all count alike, and the result is `truncated_svd`'s.

    Args:
        weight: W `[d_out, d_in]`.
        importance: I `[d_out]`, at least 0; a common factor changes nothing.
        rank: r.

    Raises:
        ValueError: a rank that the weight does not have, or importances that are negative, not finite or too few.
    """
    d_out, d_in = weight.shape
    check_rank(rank, d_out, d_in)
    if importance.shape != (d_out,):
        raise ValueError(f"{tuple(importance.shape)} importances of {d_out} rows; give one for every row")
    lowest, highest = importance.double().aminmax()
    if not (lowest >= 0 and highest.isfinite()):
        raise ValueError(f"importances from {lowest:g} to {highest:g}; they must be finite and at least 0")
    if not highest > 0:
        return truncated_svd(weight, rank)
    scale = (importance.double() / highest).clamp(min=LEAST_IMPORTANCE).sqrt().to(weight.device)
    w = weight.double()
    right = torch.linalg.svd(scale[:, None] * w, full_matrices=False).Vh[:rank]
    return _balanced(w @ right.T, right).to(weight.dtype)


def input_weighted_svd(weight: Tensor, gram: Tensor, rank: int, *, damping: float = 0.0) -> Factors:
    """Factors that minimise `‖(W - U V) X‖_F` over inputs X, the change of the outputs, exactly.

    With a root `G = L Lᵀ` of the Gram matrix `G = X Xᵀ` the norm is `‖(W - U V) L‖_F`. Its best approximation is
    `U_r U_rᵀ W L` with the r leading left singular vectors of `W L`, and so `U = U_r` and `V = U_rᵀ W`: nothing is
    divided by L, which may be singular.

    Args:
        weight: W `[d_out, d_in]`.
        gram: G `[d_in, d_in]`, Σ x xᵀ; a common factor changes nothing.
        rank: r.
        damping: share of the Gram matrix's mean diagonal that is added to its diagonal; the norm is then that of the
            damped matrix.

    Raises:
        ValueError: a rank that the weight does not have, or a Gram matrix with NaN or infinity.
    """
    d_out, d_in = weight.shape
    check_rank(rank, d_out, d_in)
    if not gram.isfinite().all():
        raise ValueError("the Gram matrix of the inputs holds NaN or infinity; the calibration pass overflowed")
    w, root = weight.double(), _root(gram.double().to(weight.device), damping)
    left = torch.linalg.svd(w @ root, full_matrices=False).U[:, :rank]
    return _balanced(left, left.T @ w).to(weight.dtype)


def _root(gram: Tensor, damping: float) -> Tensor:
    """Matrix L with `L Lᵀ` the damped Gram matrix: Cholesky's, or one of eigenvectors where that matrix is singular."""
    damped = gram.clone()
    damped.diagonal().add_(damping * gram.diagonal().mean())
    lower, failed = torch.linalg.cholesky_ex(damped)
    if not failed:
        return lower
    values, vectors = torch.linalg.eigh(damped)
    return vectors * values.clamp(min=0).sqrt()


def _balanced(left: Tensor, right: Tensor) -> Factors:
    """Factors of the same product, each column of the left one as long as the row of the right one it meets."""
    lengths = torch.linalg.vector_norm(left, dim=0), torch.linalg.vector_norm(right, dim=1)
    factor = torch.where(lengths[0] * lengths[1] > 0, (lengths[1] / lengths[0]).sqrt(), 1.0)
    return Factors((left * factor).contiguous(), (right / factor[:, None]).contiguous())


def singular_values(weight: Tensor) -> Tensor:
    """Singular values of a weight, falling, float64 `[min(d_out, d_in)]`."""
    return torch.linalg.svdvals(weight.double())
