"""Linear layer of two thin matrices, with a sparse residual beside them if there is one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.factorisation.low_rank.decompose import Factors
from compress.size import Storage, element_bits, sparse_storage, total


class LowRankLinear(nn.Module):
    """Linear layer `y = U (V x) + S x + bias`, with factors, residual and bias as parameters.

    Without a residual it is really smaller and takes really fewer operations than the dense layer. A sparse residual S
    (LoSparse, Li et al. 2023) is held with its zeros, as pruned weights are: its storage counts the values that are not
    zero and a mask, and it saves no time on dense kernels.
    """

    def __init__(self, left: Tensor, right: Tensor, bias: Tensor | None, *, residual: Tensor | None = None) -> None:
        super().__init__()
        if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
            raise ValueError(f"factors are {tuple(left.shape)} and {tuple(right.shape)}; give [d_out, r] and [r, d_in]")
        if residual is not None and residual.shape != (left.shape[0], right.shape[1]):
            raise ValueError(f"a residual of {tuple(residual.shape)} beside {left.shape[0]} x {right.shape[1]}")
        self.left, self.right = nn.Parameter(left), nn.Parameter(right)
        self.residual = None if residual is None else nn.Parameter(residual)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

    @property
    def factors(self) -> Factors:
        """Left and right matrix."""
        return Factors(self.left, self.right)

    @property
    def rank(self) -> int:
        """Number of columns of the left matrix, r."""
        return self.left.shape[1]

    @property
    def in_features(self) -> int:
        """Number of inputs, d_in."""
        return self.right.shape[1]

    @property
    def out_features(self) -> int:
        """Number of outputs, d_out."""
        return self.left.shape[0]

    def operations(self, tokens: int) -> int:
        """Floating-point operations of a forward pass, two for each multiply-add; the residual's on dense kernels."""
        multiplied = self.left.numel() + self.right.numel()
        return 2 * tokens * (multiplied + (0 if self.residual is None else self.residual.numel()))

    def weight(self) -> Tensor:
        """Dense matrix it stands for, `[d_out, d_in]`."""
        product = self.factors.product()
        return product if self.residual is None else product + self.residual

    def dense(self) -> nn.Linear:
        """Plain layer with the same outputs, up to rounding."""
        layer = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        layer.weight = nn.Parameter(self.weight().detach())
        if self.bias is not None:
            layer.bias = nn.Parameter(self.bias.detach().clone())
        return layer

    @torch.no_grad()
    def redraw(self, generator: torch.Generator) -> None:
        """Draws both factors anew, normal, so that the weight's root mean square stays what it was on average.

        The variance of a product's entry is r var(U) var(V).
        """
        deviation = (self.factors.product().square().mean() / self.rank).pow(0.25)
        for factor in (self.left, self.right):
            drawn = torch.randn(factor.shape, generator=generator, dtype=factor.dtype)
            factor.copy_(drawn.to(factor.device) * deviation)

    @property
    def storage(self) -> Storage:
        """Size of both factors, and of the residual's values and mask."""
        bits = (self.left.numel() + self.right.numel()) * element_bits(self.left)
        factors = Storage(self.out_features * self.in_features, bits, held_bits=bits)
        if self.residual is None:
            return factors
        sparse = sparse_storage(self.residual.detach())
        return total([factors, Storage(0, sparse.value_bits, mask_bits=sparse.mask_bits, held_bits=sparse.held_bits)])

    @torch.no_grad()
    def sparsity(self) -> float:
        """Share of zeros in the matrix it stands for."""
        dense = self.weight()
        return 1 - dense.count_nonzero().item() / dense.numel()

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs `[..., d_out]` of inputs `[..., d_in]`."""
        outputs = functional.linear(functional.linear(inputs, self.right), self.left, self.bias)
        return outputs if self.residual is None else outputs + functional.linear(inputs, self.residual)

    def extra_repr(self) -> str:
        """Shape, rank and what is beside the factors."""
        beside = "" if self.residual is None else f", residual of {int(self.residual.count_nonzero())} weights"
        return f"{self.in_features} -> {self.out_features}, rank {self.rank}{beside}"
