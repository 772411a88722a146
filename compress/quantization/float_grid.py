"""Floating-point grids of a few bits: FP4 (E2M1) and FP8 (E4M3), with one scale a group or token."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from compress.layers import SimulatedLinear
from compress.method import Method
from compress.quantization.grouping import Grouping, PerGroup
from compress.quantization.rounding import RoundToNearest
from compress.size import Storage, element_bits
from compress.statistics import Statistic


@dataclass(frozen=True)
class FloatFormat:
    """Format of a sign, an exponent and a mantissa, with subnormals and without infinities."""

    name: str
    exponent_bits: int
    mantissa_bits: int
    largest: float

    @property
    def bits(self) -> int:
        """Bits of one value."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def lowest_exponent(self) -> int:
        """Exponent of the smallest normal numbers; below it the step stays what it is there."""
        return 2 - 2 ** (self.exponent_bits - 1)

    def round(self, values: Tensor) -> Tensor:
        """Nearest numbers of the format, ties to the even mantissa; beyond the largest, the largest."""
        # frexp: values = mantissa * 2^exponent with the mantissa in [1/2, 1).
        exponent = torch.frexp(values).exponent.sub(1).clamp_min(self.lowest_exponent)
        step = torch.ldexp(torch.ones_like(values), exponent - self.mantissa_bits)
        return (values / step).round_().mul_(step).clamp_(-self.largest, self.largest)

    def fake(self, values: Tensor) -> Tensor:
        """Moves `values [..., members]` to the format under one scale a group, which makes the largest fit exactly."""
        return self.round(values / (scale := self.scale(values))).mul_(scale)

    def scale(self, values: Tensor) -> Tensor:
        """Scale `max|x| / largest` of each group, `[..., members]` -> `[..., 1]`; never zero."""
        tiny = torch.finfo(values.dtype).tiny
        return (values.abs().amax(-1, keepdim=True) / self.largest).clamp_min(tiny)

    def __str__(self) -> str:
        return self.name


FP4 = FloatFormat("fp4", 2, 1, 6.0)
"""E2M1 of the OCP microscaling formats: 0, 0.5, 1, 1.5, 2, 3, 4, 6."""
FP8_E4M3 = FloatFormat("fp8-e4m3", 4, 3, 448.0)


@dataclass(frozen=True)
class FloatRounding(Method):
    """Rounding of weights to a float format (ZeroQuant-FP, Wu et al. 2023)."""

    format: FloatFormat
    grouping: Grouping = field(default_factory=lambda: PerGroup(128))

    def __str__(self) -> str:
        return f"{self.format}-{self.grouping}"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> SimulatedLinear:
        """Layer with its weight in the format."""
        weight = layer.weight.detach()
        groups = self.grouping.cut(weight)
        rounded = self.grouping.join(self.format.fake(groups), weight.shape[1])
        storage = Storage(
            weight.numel(),
            value_bits=weight.numel() * self.format.bits,
            scale_bits=groups[..., 0].numel() * element_bits(weight),
            held_bits=weight.numel() * element_bits(weight),
        )
        return SimulatedLinear(rounded, layer.bias, storage=storage)


@dataclass(frozen=True)
class FloatActivations(Method):
    """Rounding of inputs per token to a float format, beside a rounding of weights that leaves inputs alone.

    Formats of inputs can so be compared on the same weights, and formats of weights on the same inputs.
    """

    weights: RoundToNearest | FloatRounding
    format: FloatFormat

    def __post_init__(self) -> None:
        if isinstance(self.weights, RoundToNearest) and self.weights.activation_bits is not None:
            raise ValueError(f"{self.weights} rounds inputs by itself; leave its activation_bits out")

    def __str__(self) -> str:
        return f"{self.weights}-a-{self.format}"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> SimulatedLinear:
        """Layer with its weight as `weights` rounds it, which rounds its inputs to the format."""
        made = self.weights(layer, name=name)
        return SimulatedLinear(made.weight, made.bias, storage=made.storage, quantize_inputs=self.format.fake)
