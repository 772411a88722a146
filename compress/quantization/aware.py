"""Quantization-aware training with learned step sizes (LSQ, Esser et al. 2020).

A layer's weight is rounded in every forward pass; gradients pass the rounding straight through (Bengio et al. 2013) and
reach the steps, of which each output has one. What is trained is the weight before rounding and the steps. Codes are
the paper's for signed values, `-2^(bits-1) .. 2^(bits-1) - 1`, all that so many bits can tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils import parametrize

from compress.grid import check_bits
from compress.layers import SimulatedLinear, WeightGrid
from compress.method import Method
from compress.size import Storage, element_bits
from compress.statistics import Statistic

STEPS = "steps"
"""Last part of the names of learned steps, for rates of their own (`models.training.train`)."""
INPUTS = "learned_inputs"
"""Name of a layer's module that rounds its inputs."""


def ends(bits: int) -> tuple[int, int]:
    """Lowest and highest code, `-2^(bits-1)` and `2^(bits-1) - 1`."""
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def first_steps(values: Tensor, bits: int) -> Tensor:
    """Steps that training starts from, `2 mean|v| / sqrt(highest)` over the last axis (§2.1): `[..., 1]`.

    But none is larger than `max|v| / highest`, with which every value is in reach: the paper's is, from 4 bits on, and
    leaves codes without use (at 8 bits most of them). A group of zeros alone gets the mean of the others' steps, or 1
    where there are none: a step of zero would keep its weights at zero for ever.

    Raises:
        ValueError: a value is not finite.
    """
    if not values.isfinite().all():
        raise ValueError("a value is NaN or infinite, so no step fits it; repair the checkpoint or lower the rate")
    magnitudes, highest = values.double().abs(), ends(bits)[1]
    reaching = magnitudes.amax(-1, keepdim=True) / highest
    steps = torch.minimum(2 * magnitudes.mean(-1, keepdim=True) / math.sqrt(highest), reaching)
    used = steps > 0
    spare = steps.sum() / used.sum() if used.any() else steps.new_ones(())
    return torch.where(used, steps, spare).to(values.dtype)


class _Rounding(torch.autograd.Function):
    """Rounding to multiples of a step, and its gradients (eq. 1 to 3)."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, steps: Tensor, bits: int, scale: float) -> Tensor:
        ratio = values / steps
        codes = ratio.round().clamp_(*ends(bits))
        ctx.save_for_backward(ratio, codes)
        ctx.bits, ctx.scale, ctx.shape = bits, scale, steps.shape
        return codes * steps

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (ratio, codes), (lowest, highest) = gradients, ctx.saved_tensors, ends(ctx.bits)
        inside = (ratio > lowest) & (ratio < highest)
        by_step = gradient * torch.where(inside, codes - ratio, codes)
        return gradient * inside, by_step.sum_to_size(ctx.shape) * ctx.scale, None, None


def rounded(values: Tensor, steps: Tensor, bits: int, members: int) -> Tensor:
    """Values on their grid, with straight-through gradients.

    By a value `v` the derivative is 1 where `v / step` lies between the lowest and the highest code, else 0. By its
    step it is `round(v / step) - v / step` inside and the end's code outside (eq. 3), summed over the group and times
    `1 / sqrt(members * highest)` (§2.2).

    Args:
        values: `[..., n]`.
        steps: above 0, of a shape that `values` broadcasts with.
        bits: at least 2.
        members: values that share a step.
    """
    scale = 1 / math.sqrt(members * ends(bits)[1])
    return _Rounding.apply(values, steps, bits, scale)  # pyright: ignore[reportReturnType] - apply is untyped


class LearnedWeightSteps(nn.Module):
    """Parametrization of a weight `[d_out, d_in]` that rounds each row to multiples of its own step."""

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.bits = bits
        # One axis: as biases and norms, steps do not decay.
        self.steps = nn.Parameter(first_steps(weight.detach().float(), bits)[:, 0].to(weight.dtype))

    def positive(self) -> Tensor:
        """Steps `[d_out, 1]`, none of which training can bring to zero or below."""
        return self.steps.abs().clamp_min(torch.finfo(self.steps.dtype).tiny)[:, None]

    def forward(self, weight: Tensor) -> Tensor:
        """Weight on its grid."""
        return rounded(weight, self.positive(), self.bits, weight.shape[1])

    def codes(self, weight: Tensor) -> Tensor:
        """Whole numbers `[d_out, d_in]` of a weight before rounding."""
        return (weight / self.positive()).round().clamp(*ends(self.bits))


class LearnedInputStep(nn.Module):
    """Rounding of a layer's inputs to multiples of one step, which the first batch sets and training goes on with."""

    begun: Tensor

    def __init__(self, bits: int, like: Tensor) -> None:
        super().__init__()
        self.bits = bits
        self.steps = nn.Parameter(torch.ones(1, dtype=like.dtype, device=like.device))
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool, device=like.device))

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs `[..., d_in]` on their grid."""
        if not self.begun:
            with torch.no_grad():
                self.steps.copy_(first_steps(inputs.detach().float().flatten(), self.bits))
                self.begun.fill_(True)
        steps = self.steps.abs().clamp_min(torch.finfo(self.steps.dtype).tiny)
        return rounded(inputs, steps, self.bits, inputs.shape[-1])


def make_aware(layers: Iterable[nn.Linear], bits: int, *, activation_bits: int | None = None) -> None:
    """Let layers round their weights, and their inputs if asked, whenever they are used; done in place.

    Args:
        layers: of any model.
        bits: of weights, 2 to 16; grids of more than 8 bits are there to see that nothing changes.
        activation_bits: of inputs, as many; None leaves them.

    Raises:
        ValueError: bits outside that, a weight that is not finite, or a layer that already has learned steps.
    """
    for width in (bits, *([] if activation_bits is None else [activation_bits])):
        if width not in range(2, 17):
            raise ValueError(f"bits is {width!r}; quantization-aware training takes 2 to 16")
    for layer in layers:
        if parametrize.is_parametrized(layer, "weight"):
            raise ValueError(f"{layer} has a weight that something else already stands for; give a plain layer")
        parametrize.register_parametrization(layer, "weight", LearnedWeightSteps(layer.weight, bits), unsafe=True)
        if activation_bits is not None:
            layer.add_module(INPUTS, LearnedInputStep(activation_bits, layer.parametrizations.weight.original))  # pyright: ignore
            layer.register_forward_pre_hook(_round_inputs)


def _round_inputs(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (layer.get_submodule(INPUTS)(inputs[0]), *inputs[1:])


def learned_steps(layer: nn.Module) -> LearnedWeightSteps | None:
    """Steps of a layer's weight; None where there are none."""
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    found = layer.parametrizations.weight[0]  # pyright: ignore
    return found if isinstance(found, LearnedWeightSteps) else None


@dataclass(frozen=True)
class LearnedRounding(Method):
    """Layers with the grids that quantization-aware training has learned (`make_aware`)."""

    bits: int

    def __post_init__(self) -> None:
        check_bits(self.bits)

    def __str__(self) -> str:
        return f"qat-w{self.bits}-row"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> SimulatedLinear:
        """Layer with its weight on its own grid.

        Raises:
            ValueError: the layer was not trained with steps of as many bits.
        """
        learned = learned_steps(layer)
        if learned is None or learned.bits != self.bits:
            has = "none" if learned is None else f"those of {learned.bits} bits"
            raise ValueError(
                f"{self} asks {name or 'a layer'} for learned steps of {self.bits} bits and it has {has}; train it "
                "after make_aware"
            )
        original, steps = layer.parametrizations.weight.original.detach(), learned.positive().detach()  # pyright: ignore
        weight = learned.codes(original).detach() * steps
        storage = Storage(
            weights=weight.numel(),
            value_bits=weight.numel() * self.bits,
            scale_bits=steps.numel() * element_bits(steps),
            held_bits=weight.numel() * element_bits(weight),
        )
        # One zero point for all layers, which is known beforehand and takes no bits.
        grid = WeightGrid(self.bits, weight.shape[1], False, steps, torch.full_like(steps, -ends(self.bits)[0]))
        return SimulatedLinear(weight, layer.bias, storage=storage, quantize_inputs=_frozen_inputs(layer), grid=grid)


def _frozen_inputs(layer: nn.Module) -> nn.Module | None:
    """Rounding of a layer's inputs as it was learned; None where inputs are left."""
    learned = dict(layer.named_children()).get(INPUTS)
    return None if learned is None else learned.requires_grad_(False)
