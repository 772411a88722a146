"""Kronecker sums fitted to more than a matrix: to what its inputs make of it, and with rows or columns moved.

Notation as in `compress.factorisation.kronecker.sums`. Every step here minimises its objective over some of the
unknowns with the others held, so the error never rises; a step that rounding turns upward is not taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from compress.factorisation.kronecker.sums import materialise, van_loan

Factors = tuple[Tensor, Tensor]


def gram_error(difference: Tensor, gram: Tensor) -> float:
    """Summed squared error `tr(D G Dᵀ)` of outputs over the inputs whose Gram matrix `[d_in, d_in]` is G."""
    difference = difference.to(gram.dtype)
    return float(((difference @ gram) * difference).sum())


def fit_to_inputs(weight: Tensor, gram: Tensor, start: Factors, *, sweeps: int = 10) -> tuple[Factors, list[float]]:
    """Factors that lessen the error of a layer's *outputs*, by alternating least squares from `start`.

    Minimises `tr((W - K) G (W - K)ᵀ)` with `K = sum_i A_i ⊗ B_i`. With the second factors held, the first are
    the solution of one linear system of k n unknowns, shared by all m rows; with the first held, the second of
    one of k q unknowns. With G the identity the optimum is Van Loan's.

    Args:
        weight: W `[d_out, d_in]`.
        gram: G `[d_in, d_in]`, symmetric and positive semidefinite; inputs that never occur may have zero rows.
        start: first factors `[k, m, n]` and second factors `[k, p, q]`.
        sweeps: at most; it ends sooner where a sweep gains less than 1e-6 of the error.

    Returns:
        The factors in the weight's dtype, and the error before the first sweep and after each.

    Raises:
        ValueError: the Gram matrix is not `[d_in, d_in]` or not finite.
    """
    if gram.shape != (weight.shape[1], weight.shape[1]) or not bool(gram.isfinite().all()):
        raise ValueError(
            f"the Gram matrix is {tuple(gram.shape)} and must be {(weight.shape[1],) * 2} with finite entries"
        )
    w, g = weight.double(), gram.double()
    wg = w @ g
    first, second = (factor.double() for factor in start)
    errors = [gram_error(w - materialise(first, second), g)]
    for _ in range(sweeps):
        better = _best_first(wg, g, second, first.shape)
        tried = better, _best_second(wg, g, better)
        error = gram_error(w - materialise(*tried), g)
        if not error < errors[-1]:
            break
        first, second = tried
        errors.append(error)
        if errors[-2] - error <= 1e-6 * errors[-2]:
            break
    return (first.to(weight.dtype), second.to(weight.dtype)), errors


def _best_first(wg: Tensor, gram: Tensor, second: Tensor, shape: torch.Size) -> Tensor:
    """First factors `[k, m, n]` that are best for the second ones; `wg` is W G."""
    k, m, n = shape
    p, q = second.shape[1:]
    grid = rearrange(gram, "(n q) (u v) -> n q u v", n=n, u=n)
    pairs = torch.einsum("kpq,lpv->kqlv", second, second)
    normal = torch.einsum("kqlv,nquv->knlu", pairs, grid).reshape(k * n, k * n)
    target = torch.einsum("mpnq,kpq->knm", rearrange(wg, "(m p) (n q) -> m p n q", p=p, q=q), second)
    return rearrange(_solved(normal, target.reshape(k * n, m)), "(k n) m -> k m n", k=k)


def _best_second(wg: Tensor, gram: Tensor, first: Tensor) -> Tensor:
    """Second factors `[k, p, q]` that are best for the first ones."""
    k, m, n = first.shape
    q, p = wg.shape[1] // n, wg.shape[0] // m
    grid = rearrange(gram, "(n q) (u v) -> n q u v", n=n, u=n)
    pairs = torch.einsum("kmn,lmu->knlu", first, first)
    normal = torch.einsum("knlu,nquv->kqlv", pairs, grid).reshape(k * q, k * q)
    target = torch.einsum("mpnq,kmn->kqp", rearrange(wg, "(m p) (n q) -> m p n q", p=p, q=q), first)
    return rearrange(_solved(normal, target.reshape(k * q, p)), "(k q) p -> k p q", k=k)


def _solved(normal: Tensor, target: Tensor) -> Tensor:
    """Least-norm solution of symmetric normal equations, which may be singular."""
    factor, failed = torch.linalg.cholesky_ex(normal)
    if not failed:
        diagonal = factor.diagonal()
        if bool(diagonal.min() > 1e-6 * diagonal.max()):
            return torch.cholesky_solve(target, factor)
    values, vectors = torch.linalg.eigh(normal)
    kept = values > values[-1].clamp(min=0) * 1e-12
    inverse = torch.where(kept, 1 / torch.where(kept, values, 1), 0)
    return vectors @ (inverse[:, None] * (vectors.T @ target))


@dataclass(frozen=True)
class Permuted:
    """Kronecker sum with its rows and columns moved: `K[rows][:, columns]` approximates the weight."""

    first: Tensor
    second: Tensor
    rows: Tensor
    """Row of the Kronecker sum that stands for each output, `[d_out]`."""
    columns: Tensor
    """Column that stands for each input, `[d_in]`."""
    errors: list[float]
    """Squared Frobenius errors: of the plain decomposition, then after each round; never rising."""

    def weight(self) -> Tensor:
        """Matrix it stands for, `[d_out, d_in]`."""
        return materialise(self.first, self.second)[self.rows][:, self.columns]


def permuted_van_loan(
    weight: Tensor, first: tuple[int, int], terms: int = 1, *, rounds: int = 5, columns: bool = True
) -> Permuted:
    """Decomposition (Van Loan's) of a weight whose rows and columns may first be moved to where they fit best.

    The idea is TQCompressor's (Abronin et al. 2024, arXiv 2401.16367, §3): neurons have no order, a Kronecker
    product has. The search here alternates two exact steps. For given factors, the best order of rows is a linear
    assignment problem (reward of putting row i in place j: the inner product of W[i] and K[j]); for a given order, the
    best factors are Van Loan's. The order as it stands is always among the candidates, so the error cannot rise.

    Args:
        weight: W `[d_out, d_in]`.
        first: rows and columns of the first factors.
        terms: k.
        rounds: at most; it ends sooner where nothing improves.
        columns: whether inputs are moved too.
    """
    w = weight.double()
    rows, cols = torch.arange(w.shape[0]), torch.arange(w.shape[1])
    factors = van_loan(w, first, terms)
    kron = materialise(*factors)
    errors = [float((w - kron).square().sum())]
    for _ in range(rounds):
        new_rows = _assigned(w, kron[:, cols])
        new_cols = _assigned(w.T, kron[new_rows].T) if columns else cols
        moved = torch.empty_like(w)
        moved[new_rows[:, None], new_cols[None, :]] = w
        tried = van_loan(moved, first, terms)
        error = float((moved - materialise(*tried)).square().sum())
        if not error < errors[-1] * (1 - 1e-9):
            break
        rows, cols, factors, kron = new_rows, new_cols, tried, materialise(*tried)
        errors.append(error)
    a, b = (factor.to(weight.dtype) for factor in factors)
    return Permuted(a, b, rows, cols, errors)


def _assigned(weight: Tensor, candidates: Tensor) -> Tensor:
    """Assignment of one row of `candidates` to every row of `weight`, with the least sum of squared distances."""
    reward = weight @ candidates.T
    _, chosen = linear_sum_assignment(reward.cpu().numpy(), maximize=True)
    return torch.from_numpy(chosen)
