"""AWQ (Lin et al. 2024): scale up the inputs' weights that matter before rounding, and clip what is rare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from compress.layers import SimulatedLinear, WeightGrid
from compress.methods import Method
from compress.quantize import Grouping, PerGroup, check_bits, fake_quantize, fit_grid, from_codes, to_codes
from compress.size import Storage, element_bits
from compress.statistics import GramAndMagnitude, Statistic

STEPS = 20
"""Exponents tried: 0, 1/20, ..., 19/20."""
CLIPS = 10
"""Ranges tried: the whole, 0.95 of it, ..., 0.55 of it."""


def output_error(change: Tensor, gram: Tensor) -> Tensor:
    """`‖X Eᵀ‖²`: what a change E `[d_out, d_in]` of a weight does to outputs, given the inputs' Gram matrix."""
    return ((change @ gram) * change).sum()


def search_scale(
    weights: list[Tensor], gram: Tensor, magnitude: Tensor, *, bits: int, grouping: Grouping
) -> tuple[Tensor, float]:
    """The scale of inputs that several layers share, and the exponent r it was made with.

    `s = magnitude^r`, made to have a largest times smallest of 1, for the r of 0, 1/20, ... 19/20 with the least error
    of the layers' outputs together; r = 0 is plain rounding, so the result is never worse than that.

    Args:
        weights: `[d_out, d_in]` each.
        gram: of their inputs, `[d_in, d_in]`.
        magnitude: mean magnitude of each input, `[d_in]`.
        bits: of the grid.
        grouping: of the weights.
    """
    best, scale, chosen = torch.inf, torch.ones_like(magnitude), 0.0
    for step in range(STEPS):
        tried = magnitude.pow(step / STEPS).clamp_min(1e-4)
        tried = tried / (tried.max() * tried.min()).sqrt()
        error = 0.0
        for weight in weights:
            error += float(output_error(_rounded(weight * tried, bits, grouping) / tried - weight, gram))
        if error < best:
            best, scale, chosen = error, tried, step / STEPS
    return scale, chosen


def _rounded(weight: Tensor, bits: int, grouping: Grouping) -> Tensor:
    return grouping.join(fake_quantize(grouping.cut(weight), bits), weight.shape[1])


def clip(weight: Tensor, gram: Tensor, *, bits: int, size: int) -> Tensor:
    """The weight with each group of each row clamped to the share of its largest magnitude that rounds best.

    A group's error is that of its own part of the output; the whole range is tried first and kept on a tie.
    """
    found = weight.clone()
    for start in range(0, weight.shape[1], size):
        part = weight[:, start : start + size]
        inner = gram[start : start + size, start : start + size]
        reach = part.abs().amax(1, keepdim=True)
        least = torch.full((len(weight),), torch.inf, dtype=weight.dtype, device=weight.device)
        for step in range(CLIPS):
            limit = reach * (1 - step / (2 * CLIPS))
            tried = torch.maximum(torch.minimum(part, limit), -limit)
            change = fake_quantize(tried, bits) - part
            error = ((change @ inner) * change).sum(1)
            better = error < least
            least = torch.where(better, error, least)
            found[:, start : start + size] = torch.where(better[:, None], tried, found[:, start : start + size])
    return found


@dataclass(frozen=True)
class AWQ(Method):
    """Round weights after scaling by the inputs' size, with clipped ranges.

    Layers of a block that read the same inputs share a scale, as folding it into the norm before them demands. The
    error is that of each layer's own output (the authors take that of the attention for its three projections).

    A scale is taken out of the rounded weight again. With `before` (of `compress.fold.producers`) it stays with the
    inputs, to be folded, so that weights lie on a grid; layers that are not in it are only clipped and rounded.
    """

    bits: int
    grouping: PerGroup = field(default_factory=lambda: PerGroup(128))
    clipped: bool = True
    before: Mapping[str, str] | None = field(default=None, hash=False)
    scales: Mapping[str, Tensor] | None = field(default=None, repr=False, compare=False)
    """By layer; filled in for each block."""
    statistic: ClassVar[type[Statistic] | None] = GramAndMagnitude

    def __post_init__(self) -> None:
        check_bits(self.bits)

    def __str__(self) -> str:
        return f"awq-w{self.bits}-{self.grouping}{'' if self.clipped else '-unclipped'}"

    def for_block(self, layers: Mapping[str, nn.Linear], statistics: Mapping[str, Statistic]) -> AWQ:
        """The method with the scales of a block's layers."""
        scales: dict[str, Tensor] = {}
        for name, layer in layers.items():
            if name in scales:
                continue
            if self.before is not None and name not in self.before:
                scales[name] = torch.ones(layer.in_features, device=layer.weight.device)
                continue
            own = _moments(statistics.get(name), name)
            shared = [
                other
                for other, found in statistics.items()
                if other in layers and torch.equal(_moments(found, other).magnitude, own.magnitude)
            ]
            weights = [layers[other].weight.detach().float() for other in shared]
            gram, magnitude = own.sum.float(), (own.magnitude / own.tokens).float()
            scale, _ = search_scale(weights, gram, magnitude, bits=self.bits, grouping=self.grouping)
            scales.update(dict.fromkeys(shared, scale.to(layer.weight.device)))
        return replace(self, scales=scales)

    def __call__(self, layer: nn.Linear, statistic: Statistic | None, *, name: str = "") -> SimulatedLinear:
        """The layer with its weight rounded after scaling, and the scale taken out again."""
        own = _moments(statistic, name)
        weight = layer.weight.detach().float()
        short = name.split(".", 1)[-1]
        scales = self.scales or self.for_block({short: layer}, {short: own}).scales or {}
        scale = scales[short]
        scaled = weight * scale
        if self.clipped:
            scaled = clip(scaled, own.sum.float() / torch.outer(scale, scale), bits=self.bits, size=self.grouping.size)
        groups = self.grouping.cut(scaled)
        grid = fit_grid(groups, self.bits, symmetric=False)
        found = self.grouping.join(from_codes(to_codes(groups, grid), grid), weight.shape[1])
        width, count = element_bits(layer.weight), grid.scale.numel()
        storage = Storage(
            weight.numel(),
            value_bits=weight.numel() * self.bits,
            scale_bits=count * width + len(scale) * width,
            zero_point_bits=count * self.bits,
            held_bits=weight.numel() * width,
        )
        if self.before is None:
            return SimulatedLinear((found / scale).to(layer.weight.dtype), layer.bias, storage=storage)
        kept = WeightGrid(self.bits, self.grouping.size, False, grid.scale[..., 0], grid.zero_point[..., 0])
        return SimulatedLinear(
            found.to(layer.weight.dtype),
            layer.bias,
            storage=storage,
            grid=kept,
            input_scale=None if (scale == 1).all() else scale,
        )


def _moments(statistic: Statistic | None, name: str) -> GramAndMagnitude:
    if not isinstance(statistic, GramAndMagnitude) or not statistic.tokens:
        raise TypeError(f"AWQ needs the Gram matrix and magnitudes of the inputs of {name}; calibrate first")
    return statistic
