"""The modules that stand in for compressed linear layers."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.quantize import fake_quantize
from compress.size import Storage


class CompressedModule(Protocol):
    """What every module that stands in for a linear layer can say of itself."""

    @property
    def storage(self) -> Storage:
        """What it would store, and what it holds now."""
        ...

    def sparsity(self) -> float:
        """The share of zeros in the weight it stands for."""
        ...


class SimulatedLinear(nn.Linear):
    """A linear layer with the outputs of a compressed one, computed on a dense weight.

    It says what its compressed form would store. With `activation_bits`, every token's inputs are rounded to an
    asymmetric grid of their own before the product (per-token quantization; outputs stay as they are).
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, *, storage: Storage, activation_bits: int | None = None
    ) -> None:
        d_out, d_in = weight.shape
        super().__init__(d_in, d_out, bias=False, device="meta")
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.storage = storage
        self.activation_bits = activation_bits

    @torch.no_grad()
    def sparsity(self) -> float:
        """The share of weights that are zero."""
        return 1 - self.weight.count_nonzero().item() / self.weight.numel()

    def forward(self, input: Tensor) -> Tensor:
        """`[..., d_in]` -> `[..., d_out]`."""
        if self.activation_bits is not None:
            input = fake_quantize(input, self.activation_bits)
        return functional.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Shape, bits, and the width of activations where they are quantized."""
        acts = "" if self.activation_bits is None else f", activations {self.activation_bits} bits"
        return f"{super().extra_repr()}, {self.storage.bits_per_weight:.3f} bits/weight{acts}"
