"""Eight-bit inference where a few inputs are far larger than the rest: LLM.int8() and SmoothQuant."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from compress.grid import fake_quantize
from compress.layers import SimulatedLinear
from compress.method import Method
from compress.size import Storage, element_bits
from compress.statistics import LargestInputs, Statistic

OUTLIER = 6.0
"""Magnitude from which an input counts as an outlier (Dettmers et al. 2022, §3.2)."""
vector_wise = partial(fake_quantize, bits=8, symmetric=True)
"""Rounding with one symmetric scale a row: a token of the inputs, an output of the weight (§3.1)."""


def _storage(weight: Tensor, kept_columns: int = 0) -> Storage:
    width = element_bits(weight)
    rounded = weight.shape[0] * (weight.shape[1] - kept_columns)
    return Storage(
        weight.numel(),
        value_bits=rounded * 8 + weight.shape[0] * kept_columns * width,
        scale_bits=weight.shape[0] * width,
        mask_bits=kept_columns * 16,
        held_bits=weight.numel() * width,
    )


@dataclass(frozen=True)
class LLMInt8(Method):
    """Vector-wise 8-bit products but for inputs that reach the threshold, which stay wide with their weights.

    The paper finds them anew in every batch; here they are those of the calibration text, so that a token's result does
    not depend on what else is in its batch. With an infinite threshold there are none.
    """

    threshold: float = OUTLIER
    statistic: ClassVar[type[Statistic] | None] = LargestInputs

    def __post_init__(self) -> None:
        if not self.threshold > 0:
            raise ValueError(f"the threshold is {self.threshold}; it must be above 0")

    def __str__(self) -> str:
        return f"llm-int8-{self.threshold:g}"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None, *, name: str = "") -> SimulatedLinear:
        """Layer with its outlier columns as they are and the rest on 8 bits."""
        wide = self.measured(LargestInputs, statistic, name).largest >= self.threshold
        weight = layer.weight.detach()
        quantize = partial(vector_wise, exempt=wide)
        storage = _storage(weight, int(wide.sum()))
        return SimulatedLinear(quantize(weight), layer.bias, storage=storage, quantize_inputs=quantize)


def smoothing_scale(largest_inputs: Tensor, weight: Tensor, strength: float) -> Tensor:
    """Scale `max|X_j|^a / max|W_j|^(1 - a)` of every input (Xiao et al. 2023, eq. 4); 1 where either is zero.

    Args:
        largest_inputs: `[d_in]`.
        weight: `[d_out, d_in]`.
        strength: a; 0 leaves the inputs as they are hard, 1 moves all of it to the weights.
    """
    weights = weight.abs().amax(0)
    scale = largest_inputs.to(weights).pow(strength) / weights.pow(1 - strength)
    return torch.where((largest_inputs > 0) & (weights > 0), scale, torch.ones_like(scale))


@dataclass(frozen=True)
class SmoothQuant(Method):
    """Vector-wise 8-bit products after large inputs were divided by a scale that the weight takes on.

    The scale stands in the layer here; before a norm it can be folded into that norm's weight.
    """

    strength: float = 0.5
    statistic: ClassVar[type[Statistic] | None] = LargestInputs

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"the strength is {self.strength}; it must lie between 0 and 1")

    def __str__(self) -> str:
        return f"smoothquant-{self.strength:g}"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None, *, name: str = "") -> SimulatedLinear:
        """Layer with smoothed inputs, weight and inputs on 8 bits."""
        weight = layer.weight.detach()
        scale = smoothing_scale(self.measured(LargestInputs, statistic, name).largest, weight, self.strength)
        rounded = vector_wise(weight * scale)
        storage = _storage(weight)
        return SimulatedLinear(rounded, layer.bias, storage=storage, quantize_inputs=vector_wise, input_scale=scale)
