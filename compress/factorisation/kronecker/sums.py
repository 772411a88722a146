"""Sums of Kronecker products: the nearest one to a matrix, its rank and size, and the matrix it stands for.

Notation: a weight W `[d_out, d_in]` is approximated by `sum_i s_i A_i ⊗ B_i` with k terms, first factors A
`[k, m, n]`, second factors B `[k, p, q]`, `d_out = m p` and `d_in = n q`. Element (m p, n q) of A ⊗ B is
`A[m, n] B[p, q]`, so a row index runs over p fastest and a column index over q.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor


@dataclass(frozen=True)
class FactorShapes:
    """Shapes of first factors `[m, n]` and second factors `[p, q]` of a weight `[m p, n q]`."""

    first: tuple[int, int]
    second: tuple[int, int]

    @classmethod
    def cut(cls, weight: tuple[int, int], first: tuple[int, int]) -> FactorShapes:
        """Shapes with these first factors.

        Raises:
            ValueError: a side of the first factor does not divide the weight's.
        """
        for side, whole, part in zip(("rows", "columns"), weight, first, strict=True):
            if part < 1 or whole % part:
                raise ValueError(
                    f"a first factor of {first[0]} x {first[1]} does not divide a weight of {weight[0]} x {weight[1]}: "
                    f"its {part} {side} must divide {whole}"
                )
        return cls(first, (weight[0] // first[0], weight[1] // first[1]))

    @property
    def weight(self) -> tuple[int, int]:
        """Shape of the weight, `(d_out, d_in)`."""
        return self.first[0] * self.second[0], self.first[1] * self.second[1]

    @property
    def parameters(self) -> int:
        """Number of parameters of one term, `m n + p q`."""
        return self.first[0] * self.first[1] + self.second[0] * self.second[1]

    @property
    def most_terms(self) -> int:
        """Number of terms that represents every weight exactly: the smaller side of the rearranged matrix."""
        return min(self.first[0] * self.first[1], self.second[0] * self.second[1])

    def most_rank(self, terms: int = 1) -> int:
        """Highest rank that `terms` products can have: rank(A ⊗ B) = rank A · rank B (Krony-PT, §3.3)."""
        return min(terms * min(self.first) * min(self.second), *self.weight)

    def check_terms(self, terms: int) -> None:
        """Raises ValueError unless `1 <= terms <= most_terms`."""
        if not 1 <= terms <= self.most_terms:
            raise ValueError(
                f"{terms} Kronecker terms were asked for; factors of {self.first} and {self.second} allow "
                f"1 to {self.most_terms}"
            )


def rearranged(weight: Tensor, shapes: FactorShapes) -> Tensor:
    """Matrix whose rank-k approximations are the k-term Kronecker sums: `[..., m p, n q]` -> `[..., m n, p q]`."""
    (m, n), (p, q) = shapes.first, shapes.second
    return rearrange(weight, "... (m p) (n q) -> ... (m n) (p q)", m=m, n=n, p=p, q=q)


def van_loan(weight: Tensor, first: tuple[int, int], terms: int = 1) -> tuple[Tensor, Tensor]:
    """Kronecker sum of k terms nearest to a weight in the Frobenius norm (Van Loan & Pitsianis 1993).

    The k leading singular triplets of the rearranged matrix, each with the root of its singular value in both
    factors (Krony-PT, §3.5). They are found exactly, in float64, from the Gram matrix of the smaller side: the
    weight is projected onto that side's leading subspace, so an error in the subspace enters the approximation
    error only in second order. Signs are fixed: the largest entry of every second factor is positive.

    Args:
        weight: `[..., d_out, d_in]`.
        first: rows and columns of the first factors.
        terms: k.

    Returns:
        First factors `[..., k, m, n]` and second factors `[..., k, p, q]`, in the weight's dtype.

    Raises:
        ValueError: shapes that do not divide, or more terms than there are singular values.
    """
    shapes = FactorShapes.cut((weight.shape[-2], weight.shape[-1]), first)
    shapes.check_terms(terms)
    rows, second_is_short = _short_side_first(weight, shapes)
    short = torch.linalg.eigh(rows @ rows.mT).eigenvectors[..., -terms:].flip(-1).mT  # [..., k, short side]
    long = short @ rows  # each row's norm is its singular value
    root = torch.linalg.vector_norm(long, dim=-1, keepdim=True).sqrt()
    sign = _sign(short if second_is_short else long)
    long *= sign / torch.where(root > 0, root, 1)
    short = short * (sign * root)
    first_factors, second_factors = (long, short) if second_is_short else (short, long)
    first_factors = first_factors.unflatten(-1, shapes.first)
    second_factors = second_factors.unflatten(-1, shapes.second)
    return first_factors.to(weight.dtype), second_factors.to(weight.dtype)


def _short_side_first(weight: Tensor, shapes: FactorShapes) -> tuple[Tensor, bool]:
    """Rearranged matrix or its transpose, the one with fewer rows, in float64; and whether those rows are p q.

    Laid out so, the copy, its Gram matrix and the projection all run along memory.
    """
    (m, n), (p, q) = shapes.first, shapes.second
    second_is_short = p * q <= m * n
    pattern = "... (m p) (n q) -> ... p q m n" if second_is_short else "... (m p) (n q) -> ... m n p q"
    view = rearrange(weight, pattern, m=m, n=n, p=p, q=q)
    copied = view.to(torch.float64, memory_format=torch.contiguous_format).contiguous()
    return copied.flatten(-2).flatten(-3, -2), second_is_short


def _sign(vectors: Tensor) -> Tensor:
    """Sign of the largest entry of every vector `[..., k, length]`, the first of equals, as 1 or -1 `[..., k, 1]`."""
    largest = vectors.gather(-1, vectors.abs().argmax(-1, keepdim=True))
    return torch.where(largest < 0, -1.0, 1.0).to(vectors.dtype)


def singular_values(weight: Tensor, first: tuple[int, int]) -> Tensor:
    """Singular values of the rearranged matrix, falling, float64 `[most_terms]`.

    The sum of their squares past the k-th is the squared error of k terms.
    """
    rows, _ = _short_side_first(weight, FactorShapes.cut((weight.shape[-2], weight.shape[-1]), first))
    # Through the Gram matrix: relative errors grow below 1e-8 of the largest, which no spectrum here shows.
    return torch.linalg.eigvalsh(rows @ rows.mT).clamp(min=0).sqrt().flip(-1)


def materialise(first: Tensor, second: Tensor, scalars: Tensor | None = None) -> Tensor:
    """Matrix `sum_i s_i A_i ⊗ B_i`, `[..., k, m, n]` and `[..., k, p, q]` -> `[..., m p, n q]`."""
    if scalars is not None:
        first = fold_scalars(first, scalars)
    (m, n), (p, q) = first.shape[-2:], second.shape[-2:]
    product = first.flatten(-2).mT @ second.flatten(-2)  # [m n, p q]: the rearranged matrix
    return rearrange(product, "... (m n) (p q) -> ... (m p) (n q)", m=m, n=n, p=p, q=q)


def fold_scalars(first: Tensor, scalars: Tensor) -> Tensor:
    """First factors `[..., k, m, n]` that stand for the scaled terms: s (A ⊗ B) = (s A) ⊗ B (Krony-PT, §4.6)."""
    return first * scalars[..., None, None]


def pruned_factors(weight: Tensor, second: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Factors by pruning: every p-th row and q-th column, and a 1 with zeros below and beside it.

    Their product is the weight with all other rows and columns zero: the pruning-based initialisation (Krony-PT,
    §3.8.3) with `second=(2, 1)` for every other row, `(1, 2)` for every other column.

    Returns:
        `[1, d_out / p, d_in / q]` and `[1, p, q]`.

    Raises:
        ValueError: p or q does not divide the weight's side.
    """
    p, q = second
    FactorShapes.cut((weight.shape[0], weight.shape[1]), (weight.shape[0] // p, weight.shape[1] // q))
    unit = weight.new_zeros(1, p, q)
    unit[0, 0, 0] = 1
    return weight[None, ::p, ::q].clone(), unit
