"""Rounding to nearest: every weight by itself, without a look at the layer's inputs."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from compress.grid import Grid, check_bits, code_bits, fit_grid, from_codes, to_codes
from compress.layers import SimulatedLinear, WeightGrid
from compress.method import Method
from compress.quantization.grouping import Grouping, PerGroup, PerTensor
from compress.quantization.mixed_precision import Protection
from compress.size import Storage, dense_storage, element_bits
from compress.statistics import Statistic


@dataclass(frozen=True)
class RoundToNearest(Method):
    """Rounding of every weight to the nearest point of its group's integer grid; of inputs per token, if asked."""

    bits: int
    grouping: Grouping = field(default_factory=lambda: PerGroup(64))
    symmetric: bool = False
    protect: Protection | None = None
    activation_bits: int | None = None

    def __post_init__(self) -> None:
        check_bits(self.bits)
        if self.activation_bits is not None:
            check_bits(self.activation_bits)
        if self.protect is not None and not isinstance(self.grouping, PerGroup):
            raise ValueError(f"protecting groups needs a group size; {self.grouping!r} has none, use PerGroup(64)")

    def __str__(self) -> str:
        acts = "" if self.activation_bits is None else f"a{self.activation_bits}"
        symmetric = "-symmetric" if self.symmetric else ""
        protect = "" if self.protect is None else f"-{self.protect}"
        return f"rtn-w{self.bits}{acts}-{self.grouping}{symmetric}{protect}"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> SimulatedLinear:
        """Layer with its weight on its grid, computed in float32 and stored in the weight's dtype."""
        weight = layer.weight.detach()
        groups = self.grouping.cut(weight.float())
        values, storage, grid = self._round(groups, weight)
        weight_grid = None
        if self.protect is not None:
            values, storage = self._with_protected(groups, values, weight, name)
        elif not isinstance(self.grouping, PerTensor):
            scales, zero_points = grid.scale[..., 0], grid.zero_point[..., 0]
            weight_grid = WeightGrid(self.bits, groups.shape[-1], self.symmetric, scales, zero_points)
        rounded = self.grouping.join(values, weight.shape[1]).to(weight.dtype)
        return SimulatedLinear(
            rounded, layer.bias, storage=storage, activation_bits=self.activation_bits, grid=weight_grid
        )

    def _round(self, groups: Tensor, weight: Tensor) -> tuple[Tensor, Storage, Grid]:
        grid = fit_grid(groups, self.bits, symmetric=self.symmetric)
        codes = to_codes(groups, grid)
        count = grid.scale.numel()
        storage = Storage(
            weights=weight.numel(),
            value_bits=weight.numel() * code_bits(codes),
            scale_bits=count * element_bits(grid.scale),
            zero_point_bits=0 if self.symmetric else count * self.bits,
            held_bits=weight.numel() * element_bits(weight),
        )
        return from_codes(codes, grid), storage, grid

    def _with_protected(self, groups: Tensor, values: Tensor, weight: Tensor, name: str) -> tuple[Tensor, Storage]:
        """Values with those of the protected groups on their finer grid, and the size of it all."""
        protect, grouping = self.protect, self.grouping
        if protect is None or not isinstance(grouping, PerGroup):
            raise ValueError("no groups to protect")
        lengths = torch.tensor(grouping.lengths(weight.shape[1]), device=weight.device)
        mask = protect.mask(groups.abs().sum(-1) / lengths, name)
        grid = fit_grid(groups, protect.bits, symmetric=self.symmetric)
        values = torch.where(mask[..., None], from_codes(to_codes(groups, grid), grid), values)
        kept = int((mask * lengths).sum())
        return values, Storage(
            weights=weight.numel(),
            value_bits=kept * protect.bits + (weight.numel() - kept) * self.bits,
            scale_bits=mask.numel() * element_bits(grid.scale),
            zero_point_bits=0 if self.symmetric else int(mask.sum()) * protect.bits + int((~mask).sum()) * self.bits,
            mask_bits=mask.numel(),
            held_bits=weight.numel() * element_bits(weight),
        )


@dataclass(frozen=True)
class CastWeights(Method):
    """Rounding of weights to a narrower float type, computing in the wide one: the noise floor of a dtype."""

    dtype: torch.dtype

    def __str__(self) -> str:
        return f"cast-{str(self.dtype).removeprefix('torch.')}"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> SimulatedLinear:
        """Layer with its weight after a round trip through the dtype."""
        weight = layer.weight.detach()
        narrow = weight.to(self.dtype)
        stored = dense_storage(narrow)
        held = Storage(stored.weights, stored.value_bits, held_bits=dense_storage(weight).held_bits)
        return SimulatedLinear(narrow.to(weight.dtype), layer.bias, storage=held)
