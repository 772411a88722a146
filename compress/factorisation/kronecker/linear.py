"""Linear layer whose weight is a sum of Kronecker products, computed without forming it where that is faster.

Notation as in `compress.factorisation.kronecker.sums`.
"""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.factorisation.kronecker.sums import FactorShapes, fold_scalars, materialise
from compress.size import Storage, element_bits


class Contraction(Enum):
    """Order in which inputs meet the factors."""

    FIRST = "first factor, then second"
    SECOND = "second factor, then first"
    WHOLE = "the product, formed once, then one dense layer"


ELEMENT_COST = 40.0
"""Cost of reading and writing one element of an intermediate, in floating-point operations of a matrix product.

`bench/speed/test_krony.py` shows whether the choices that follow from it are right.
"""


def operations(shapes: FactorShapes, terms: int, tokens: int, order: Contraction) -> int:
    """Floating-point operations of one layer's matrix products, two for each multiply-add."""
    (m, n), (p, q) = shapes.first, shapes.second
    if order is Contraction.FIRST:
        return 2 * tokens * terms * (m * n * q + m * q * p)
    if order is Contraction.SECOND:
        return 2 * tokens * terms * (n * q * p + m * n * p)
    return 2 * (terms + tokens) * m * n * p * q


def _moved(shapes: FactorShapes, terms: int, tokens: int, order: Contraction) -> int:
    """Number of elements that are read or written between the products."""
    (m, n), (p, q) = shapes.first, shapes.second
    if order is Contraction.FIRST:
        return tokens * (2 * terms * m * q + (n * q if q > 1 else 0))
    if order is Contraction.SECOND:
        return tokens * (2 * terms * n * p + (m * p if p > 1 else 0))
    return 2 * m * n * p * q


def choose(shapes: FactorShapes, terms: int, tokens: int) -> Contraction:
    """Order that should be fastest for this many tokens at once."""

    def cost(order: Contraction) -> float:
        moved = _moved(shapes, terms, tokens, order)
        return operations(shapes, terms, tokens, order) + ELEMENT_COST * moved

    return min(Contraction, key=cost)


def kronecker_linear(
    inputs: Tensor, first: Tensor, second: Tensor, bias: Tensor | None = None, *, order: Contraction | None = None
) -> Tensor:
    """Product of inputs and the transposed sum of Kronecker products, `[..., n q]` -> `[..., m p]`.

    Args:
        inputs: `[..., n q]`.
        first: `[k, m, n]`.
        second: `[k, p, q]`.
        bias: `[m p]`.
        order: how to compute it; by default what `choose` gives.
    """
    (k, m, n), (p, q) = first.shape, second.shape[1:]
    flat = inputs.reshape(-1, n * q)
    order = order or choose(FactorShapes((m, n), (p, q)), k, len(flat))
    if order is Contraction.WHOLE:
        return functional.linear(inputs, materialise(first, second), bias)
    if order is Contraction.FIRST:
        products = _first_then_second(flat, first, second)
    else:
        products = _second_then_first(flat, first, second)
    outputs = products.reshape(*inputs.shape[:-1], m * p)
    return outputs if bias is None else outputs + bias


def _first_then_second(flat: Tensor, first: Tensor, second: Tensor) -> Tensor:
    (k, m, n), (p, q) = first.shape, second.shape[1:]
    columns = flat.view(-1, n, q).mT if q > 1 else flat.view(-1, 1, n)
    middle = columns.reshape(-1, n) @ first.reshape(k * m, n).T  # [tokens q, k m]
    if k * q == 1:
        return middle.view(-1, m, 1) * second.view(1, 1, p)
    middle = middle.view(-1, q * k, m).mT.reshape(-1, q * k)  # [tokens m, q k]
    return (middle @ second.permute(2, 0, 1).reshape(q * k, p)).view(-1, m, p)


def _second_then_first(flat: Tensor, first: Tensor, second: Tensor) -> Tensor:
    (k, m, n), (p, q) = first.shape, second.shape[1:]
    if k * p == 1:
        middle = flat.view(-1, n, q) @ second.view(q)  # [tokens, n]
        return (middle @ first.view(m, n).T).view(-1, m, 1)
    middle = flat.view(-1, q) @ second.reshape(k * p, q).T  # [tokens n, k p]
    middle = middle.view(-1, n, k, p).permute(0, 3, 2, 1).reshape(-1, k * n)  # [tokens p, k n]
    products = middle @ first.permute(0, 2, 1).reshape(k * n, m)
    return products.view(-1, p, m).mT


class KroneckerLinear(nn.Module):
    """Linear layer `y = (sum_i s_i A_i ⊗ B_i) x + bias`, with factors, bias and scalars (if any) as parameters.

    With `rows` and `columns` the weight is the Kronecker sum with its rows and columns taken in that order.
    """

    rows: Tensor | None
    columns: Tensor | None

    def __init__(
        self,
        first: Tensor,
        second: Tensor,
        bias: Tensor | None,
        *,
        scalars: Tensor | None = None,
        rows: Tensor | None = None,
        columns: Tensor | None = None,
    ) -> None:
        super().__init__()
        if first.ndim != 3 or second.ndim != 3 or len(first) != len(second):
            raise ValueError(
                f"factors are {tuple(first.shape)} and {tuple(second.shape)}; both must be [terms, rows, columns]"
            )
        self.first, self.second = nn.Parameter(first), nn.Parameter(second)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())
        self.scalars = None if scalars is None else nn.Parameter(scalars)
        self.register_buffer("rows", rows)
        self.register_buffer("columns", columns)

    @property
    def shapes(self) -> FactorShapes:
        """Shapes of the factors."""
        _, m, n = self.first.shape
        _, p, q = self.second.shape
        return FactorShapes((m, n), (p, q))

    @property
    def terms(self) -> int:
        """Number of terms, k."""
        return len(self.first)

    @property
    def in_features(self) -> int:
        """Number of inputs, n q."""
        return self.shapes.weight[1]

    @property
    def out_features(self) -> int:
        """Number of outputs, m p."""
        return self.shapes.weight[0]

    def operations(self, tokens: int) -> int:
        """Floating-point operations of a forward pass in the order that is chosen for this many tokens."""
        return operations(self.shapes, self.terms, tokens, choose(self.shapes, self.terms, tokens))

    def _scaled(self) -> Tensor:
        return self.first if self.scalars is None else fold_scalars(self.first, self.scalars)

    def weight(self) -> Tensor:
        """Dense matrix it stands for, `[out_features, in_features]`."""
        dense = materialise(self._scaled(), self.second)
        dense = dense if self.rows is None else dense[self.rows]
        return dense if self.columns is None else dense[:, self.columns]

    def dense(self) -> nn.Linear:
        """Plain layer with the same outputs."""
        layer = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        layer.weight = nn.Parameter(self.weight().detach())
        if self.bias is not None:
            layer.bias = nn.Parameter(self.bias.detach().clone())
        return layer

    @torch.no_grad()
    def fold(self) -> None:
        """Puts the scalars into the first factors; outputs stay the same and one product less is computed."""
        if self.scalars is not None:
            self.first = nn.Parameter(fold_scalars(self.first, self.scalars))
            self.scalars = None

    @torch.no_grad()
    def redraw(self, generator: torch.Generator) -> None:
        """Draws all factors anew, normal, so that the weight's root mean square stays what it was on average.

        The variance of a weight is k var(A) var(B) where all are independent, so factors have the fourth root of its
        k-th part as their standard deviation. Scalars go into that share.
        """
        squares = self.weight().square().mean() / len(self.first)
        if self.scalars is not None:
            squares = squares / self.scalars.square().mean()
        for factors in (self.first, self.second):
            drawn = torch.randn(factors.shape, generator=generator, dtype=factors.dtype)
            factors.copy_(drawn.to(factors.device) * squares.pow(0.25))

    @property
    def storage(self) -> Storage:
        """Size of factors, scalars and orders, as they are held."""
        values = self.first.numel() + self.second.numel() + (0 if self.scalars is None else self.scalars.numel())
        orders = [order for order in (self.rows, self.columns) if order is not None]
        order_bits = sum(len(order) * (len(order) - 1).bit_length() for order in orders)
        held = values * element_bits(self.first) + sum(len(order) * element_bits(order) for order in orders)
        weights = self.out_features * self.in_features
        return Storage(weights, values * element_bits(self.first), mask_bits=order_bits, held_bits=held)

    @torch.no_grad()
    def sparsity(self) -> float:
        """Share of zeros in the matrix it stands for."""
        dense = self.weight()
        return 1 - dense.count_nonzero().item() / dense.numel()

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs `[..., out_features]` of inputs `[..., in_features]`."""
        if self.columns is not None:  # W = K[rows][:, columns], so input j meets column columns[j] of K
            inputs = torch.zeros_like(inputs).index_copy(-1, self.columns, inputs)
        if self.rows is None:
            return kronecker_linear(inputs, self._scaled(), self.second, self.bias)
        outputs = kronecker_linear(inputs, self._scaled(), self.second)[..., self.rows]
        return outputs if self.bias is None else outputs + self.bias

    def extra_repr(self) -> str:
        """Shapes, terms and scalars."""
        (m, n), (p, q) = self.shapes.first, self.shapes.second
        scalars = "" if self.scalars is None else ", scalars"
        return f"{self.terms} x ({m}, {n}) ⊗ ({p}, {q}){scalars}"
