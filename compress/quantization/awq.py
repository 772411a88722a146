"""AWQ (Lin et al. 2024): weights of large inputs are scaled up before rounding, and rare large weights clipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from compress.grid import check_bits, fake_quantize, fit_grid, from_codes, to_codes
from compress.layers import CompressedModule, SimulatedLinear, WeightGrid
from compress.method import Method
from compress.quantization.grouping import Grouping, PerGroup
from compress.size import Storage, element_bits
from compress.statistics import GramAndMagnitude, Statistic

STEPS = 20
"""Exponents tried: 0, 1/20, ..., 19/20."""
CLIPS = 10
"""Ranges tried: the whole, 0.95 of it, ..., 0.55 of it."""


def output_error(change: Tensor, gram: Tensor) -> Tensor:
    """Squared change `‖X Eᵀ‖²` of outputs by a change E `[d_out, d_in]` of a weight, given the inputs' Gram matrix."""
    return ((change @ gram) * change).sum()


def search_scale(
    weights: list[Tensor], gram: Tensor, magnitude: Tensor, *, bits: int, grouping: Grouping
) -> tuple[Tensor, float]:
    """Scale of the inputs that several layers share, and the exponent r it was made with.

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
    """Weight with each group of each row clamped to the share of its largest magnitude that rounds best.

    A group's error is that of its own part of the output; the whole range is tried first and kept on a tie.
    """
    clipped = weight.clone()
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
            clipped[:, start : start + size] = torch.where(better[:, None], tried, clipped[:, start : start + size])
    return clipped


@dataclass(frozen=True)
class AWQ(Method):
    """Rounding of weights after scaling by the inputs' size, with clipped ranges.

    Layers of a block that read the same inputs share a scale, as folding it into the norm before them demands. The
    error is that of each layer's own output (the authors take that of the attention for its three projections).

    A scale is taken out of the rounded weight again. With `before` (of `compress.quantization.fold.producers`) it stays
    with the inputs, to be folded, so that weights lie on a grid; layers outside it are only clipped and rounded.
    """

    bits: int
    grouping: PerGroup = field(default_factory=lambda: PerGroup(128))
    clipped: bool = True
    before: Mapping[str, str] | None = field(default=None, hash=False)
    statistic: ClassVar[type[Statistic] | None] = GramAndMagnitude

    def __post_init__(self) -> None:
        check_bits(self.bits)

    def __str__(self) -> str:
        return f"awq-w{self.bits}-{self.grouping}{'' if self.clipped else '-unclipped'}"

    def compress_block(
        self, layers: Mapping[str, nn.Linear], statistics: Mapping[str, Statistic], *, prefix: str = ""
    ) -> dict[str, CompressedModule]:
        """Layers of a block, rounded under the scales that they share."""
        moments = {name: self.measured(GramAndMagnitude, statistics.get(name), prefix + name) for name in layers}
        scales = self.shared_scales(layers, moments)
        return {name: self._rounded(layer, moments[name], scales[name]) for name, layer in layers.items()}

    def shared_scales(
        self, layers: Mapping[str, nn.Linear], moments: Mapping[str, GramAndMagnitude]
    ) -> dict[str, Tensor]:
        """Scales of a block's layers, `[d_in]` each; layers that read the same inputs have the same."""
        scales: dict[str, Tensor] = {}
        for name, layer in layers.items():
            if name in scales:
                continue
            if self.before is not None and name not in self.before:
                scales[name] = torch.ones(layer.in_features, device=layer.weight.device)
                continue
            own = moments[name]
            shared = [other for other in layers if torch.equal(moments[other].magnitude, own.magnitude)]
            weights = [layers[other].weight.detach().float() for other in shared]
            gram, magnitude = own.sum.float(), (own.magnitude / own.tokens).float()
            scale, _ = search_scale(weights, gram, magnitude, bits=self.bits, grouping=self.grouping)
            scales.update(dict.fromkeys(shared, scale.to(layer.weight.device)))
        return scales

    def _rounded(self, layer: nn.Linear, moments: GramAndMagnitude, scale: Tensor) -> SimulatedLinear:
        """Layer with its weight rounded after scaling; the scale is taken out again, or left to be folded."""
        scaled, size = layer.weight.detach().float() * scale, self.grouping.size
        if self.clipped:
            scaled = clip(scaled, moments.sum.float() / torch.outer(scale, scale), bits=self.bits, size=size)
        groups = self.grouping.cut(scaled)
        grid = fit_grid(groups, self.bits, symmetric=False)
        rounded = self.grouping.join(from_codes(to_codes(groups, grid), grid), scaled.shape[1])
        storage = self._storage(layer.weight, grid.scale.numel())
        if self.before is None:
            return SimulatedLinear((rounded / scale).to(layer.weight.dtype), layer.bias, storage=storage)
        return SimulatedLinear(
            rounded.to(layer.weight.dtype),
            layer.bias,
            storage=storage,
            grid=WeightGrid(self.bits, size, False, grid.scale[..., 0], grid.zero_point[..., 0]),
            input_scale=None if (scale == 1).all() else scale,
        )

    def _storage(self, weight: Tensor, groups: int) -> Storage:
        width = element_bits(weight)
        return Storage(
            weight.numel(),
            value_bits=weight.numel() * self.bits,
            scale_bits=groups * width + weight.shape[1] * width,
            zero_point_bits=groups * self.bits,
            held_bits=weight.numel() * width,
        )
