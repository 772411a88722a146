"""Modules that stand in for compressed linear layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.grid import fake_quantize
from compress.size import Storage, sparse_storage


class CompressedModule(Protocol):
    """Interface of a module that stands in for a linear layer."""

    @property
    def storage(self) -> Storage:
        """Size of its compressed form, and of what it holds now."""
        ...

    def sparsity(self) -> float:
        """Share of zeros in the weight it stands for."""
        ...


@dataclass(frozen=True)
class WeightGrid:
    """Integer grid on which every weight of a layer lies, as a packed checkpoint needs it."""

    bits: int
    size: int
    """Inputs of a group; the last of a row may be shorter."""
    symmetric: bool
    scales: Tensor
    """`[d_out, groups]`."""
    zero_points: Tensor
    """`[d_out, groups]`, between 0 and 2^bits - 1; zeros where the grid is symmetric."""


class SimulatedLinear(nn.Linear):
    """Linear layer with the outputs of a compressed one, computed on a dense weight.

    It says in `storage` what its compressed form would take, in `note` what did not go as asked, and in `grid` on which
    integer grid its weight lies, if on one. Inputs are divided by `input_scale` if there is one; then each token's are
    rounded before the product: with `activation_bits` to an asymmetric grid of their own, or by `quantize_inputs`.
    Outputs stay as they are.
    """

    input_scale: Tensor | None

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        *,
        storage: Storage,
        activation_bits: int | None = None,
        quantize_inputs: Callable[[Tensor], Tensor] | None = None,
        input_scale: Tensor | None = None,
        note: str = "",
        grid: WeightGrid | None = None,
    ) -> None:
        d_out, d_in = weight.shape
        super().__init__(d_in, d_out, bias=False, device="meta")
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.storage = storage
        self.activation_bits = activation_bits
        if activation_bits is not None and quantize_inputs is not None:
            raise ValueError("inputs are rounded by activation_bits or by quantize_inputs, not by both")
        self.quantize_inputs = partial(fake_quantize, bits=activation_bits) if activation_bits else quantize_inputs
        self.register_buffer("input_scale", input_scale)
        self.note = note
        self.grid = grid

    @torch.no_grad()
    def sparsity(self) -> float:
        """Share of weights that are zero."""
        return 1 - self.weight.count_nonzero().item() / self.weight.numel()

    def forward(self, input: Tensor) -> Tensor:
        """Outputs `[..., d_out]` of inputs `[..., d_in]`."""
        if self.input_scale is not None:
            input = input / self.input_scale
        if self.quantize_inputs is not None:
            input = self.quantize_inputs(input)
        return functional.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Shape, bits, and the width of activations where they are quantized."""
        acts = "" if self.activation_bits is None else f", activations {self.activation_bits} bits"
        return f"{super().extra_repr()}, {self.storage.bits_per_weight:.3f} bits/weight{acts}"


def pruned(layer: nn.Linear, mask: Tensor, *, index_bits: int | None = None) -> SimulatedLinear:
    """Layer with the weights under a mask at zero.

    Args:
        layer: as it was.
        mask: `[d_out, d_in]`, True for the weights that go.
        index_bits: see `compress.size.sparse_storage`.
    """
    weight = layer.weight.detach().masked_fill(mask, 0)
    return SimulatedLinear(weight, layer.bias, storage=sparse_storage(weight, index_bits=index_bits))


def grids_of(model: nn.Module) -> dict[str, WeightGrid]:
    """Grids of the layers whose weights lie on one, by the layers' names: `grids` of `models.save.save_packed`."""
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, SimulatedLinear)}
    return {name: layer.grid for name, layer in layers.items() if layer.grid is not None}


def changing_inputs(model: nn.Module) -> list[str]:
    """Names of the layers that scale or round their inputs, which a checkpoint of weights alone would lose."""
    return [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, SimulatedLinear) and (layer.quantize_inputs is not None or layer.input_scale is not None)
    ]
