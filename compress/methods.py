"""Compression methods: frozen dataclasses that are called with a layer and give back the one to put there.

The repr names a method in full; `str` is its short name in test ids and reports.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

import torch
from torch import Tensor, nn

from compress.layers import CompressedModule, SimulatedLinear, WeightGrid
from compress.prune import (
    check_fraction,
    check_pattern,
    removed_count,
    smallest,
    smallest_across,
    smallest_n_of_m,
    wanda_scores,
)
from compress.quantize import (
    Grid,
    Grouping,
    PerGroup,
    PerTensor,
    check_bits,
    code_bits,
    fit_grid,
    from_codes,
    protected_count,
    to_codes,
)
from compress.size import Storage, dense_storage, element_bits, sparse_storage
from compress.statistics import SquaredInputs, Statistic


class Method(ABC):
    """Something that compresses one linear layer at a time."""

    statistic: ClassVar[type[Statistic] | None] = None
    """What it needs to know of a layer's inputs; None if it looks at weights alone."""

    @abstractmethod
    def __call__(self, layer: nn.Linear, statistic: Statistic | None, *, name: str) -> CompressedModule:
        """The layer that takes the place of `layer`, called `name` in the model."""

    def across(self, layers: Mapping[str, nn.Linear]) -> Method:
        """The method to call on each of `layers`, after a look at all of them together."""
        return self

    def for_block(self, layers: Mapping[str, nn.Linear], statistics: Mapping[str, Statistic]) -> Method:
        """The method to call on the layers of one block, by their names in it, after a look at what was measured."""
        return self

    def settings(self, block: nn.Module, layers: Mapping[str, nn.Module]) -> list[tuple[nn.Module, str, int]]:
        """What else a block must be told once `layers` take their places: modules, their attributes and the values."""
        return []


def _pruned(layer: nn.Linear, mask: Tensor, *, index_bits: int | None = None) -> SimulatedLinear:
    weight = layer.weight.detach().masked_fill(mask, 0)
    return SimulatedLinear(weight, layer.bias, storage=sparse_storage(weight, index_bits=index_bits))


class ComparisonGroup(Enum):
    """The weights that are compared with each other when some must go."""

    ROW = "row"
    LAYER = "layer"
    MODEL = "model"


@dataclass(frozen=True)
class MagnitudePruning(Method):
    """Zero the weights of smallest magnitude (or the largest, to see what those carry)."""

    sparsity: float
    group: ComparisonGroup = ComparisonGroup.LAYER
    largest: bool = False

    def __post_init__(self) -> None:
        check_fraction("sparsity", self.sparsity)

    def __str__(self) -> str:
        group = "" if self.group is ComparisonGroup.LAYER else f"-per-{self.group.value}"
        return f"{'largest' if self.largest else 'magnitude'}-{self.sparsity:g}{group}"

    def across(self, layers: Mapping[str, nn.Linear]) -> Method:
        """For the group MODEL, the masks of all layers at once; otherwise the method itself."""
        if self.group is not ComparisonGroup.MODEL:
            return self
        if self.largest:
            raise ValueError("the largest weights are pruned per row or per layer, not per model")
        scores = [layer.weight.detach().float().abs() for layer in layers.values()]
        count = removed_count(self.sparsity, sum(score.numel() for score in scores))
        return _GivenMasks(dict(zip(layers, smallest_across(scores, count), strict=True)))

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> SimulatedLinear:
        """Exactly `round(sparsity * group)` weights of each group go, of equal ones the first."""
        scores = layer.weight.detach().float().abs() * (-1 if self.largest else 1)
        groups = scores if self.group is ComparisonGroup.ROW else scores.view(1, -1)
        mask = smallest(groups, removed_count(self.sparsity, groups.shape[1]))
        return _pruned(layer, mask.view(scores.shape))


@dataclass(frozen=True)
class _GivenMasks(Method):
    masks: dict[str, Tensor]

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str) -> SimulatedLinear:
        return _pruned(layer, self.masks[name])


def layer_generator(seed: int, name: str) -> torch.Generator:
    """A random generator that depends on the seed and the layer's name, and on nothing else."""
    # torch's CPU generator takes in 32 bits of a seed; both parts must be in those.
    return torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))


@dataclass(frozen=True)
class RandomPruning(Method):
    """Zero weights of each layer at random, whatever their size."""

    sparsity: float
    seed: int = 0

    def __post_init__(self) -> None:
        check_fraction("sparsity", self.sparsity)

    def __str__(self) -> str:
        return f"random-{self.sparsity:g}"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> SimulatedLinear:
        """Exactly `round(sparsity * d_out * d_in)` weights go."""
        scores = torch.rand(1, layer.weight.numel(), generator=layer_generator(self.seed, name))
        mask = smallest(scores, removed_count(self.sparsity, scores.numel())).view(layer.weight.shape)
        return _pruned(layer, mask.to(layer.weight.device))


@dataclass(frozen=True)
class WandaPruning(Method):
    """Zero the weights of each output with the smallest `|weight| * norm of its input` (Sun et al. 2023).

    With `n_of_m=(2, 4)` two of every four neighbouring inputs stay, and `sparsity` must say so (0.5).
    """

    sparsity: float
    n_of_m: tuple[int, int] | None = None
    statistic: ClassVar[type[Statistic] | None] = SquaredInputs

    def __post_init__(self) -> None:
        check_fraction("sparsity", self.sparsity)
        check_pattern(self.n_of_m, self.sparsity)

    def __str__(self) -> str:
        pattern = "" if self.n_of_m is None else f"-{self.n_of_m[0]}of{self.n_of_m[1]}"
        return f"wanda-{self.sparsity:g}{pattern}"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None, *, name: str = "") -> SimulatedLinear:
        """In every row `round(sparsity * d_in)` weights go, or all but n of every m."""
        if not isinstance(statistic, SquaredInputs):
            raise TypeError(f"Wanda needs the squared inputs of {name or 'the layer'}; calibrate first")
        scores = wanda_scores(layer.weight.detach(), statistic.mean)
        if self.n_of_m is None:
            return _pruned(layer, smallest(scores, removed_count(self.sparsity, scores.shape[1])))
        n, m = self.n_of_m
        return _pruned(layer, smallest_n_of_m(scores, m - n, m), index_bits=(m - 1).bit_length())


class Keep(Enum):
    """Which groups a mixed-precision method protects, by their mean magnitude."""

    LARGEST = "largest"
    SMALLEST = "smallest"
    RANDOM = "random"


@dataclass(frozen=True)
class Protection:
    """A fraction of a layer's groups that are kept at more bits than the others."""

    fraction: float
    keep: Keep = Keep.LARGEST
    bits: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        check_fraction("fraction of protected groups", self.fraction)
        check_bits(self.bits)

    def __str__(self) -> str:
        return f"keep-{self.fraction:g}-{self.keep.value}"

    def mask(self, magnitudes: Tensor, name: str) -> Tensor:
        """True for the protected ones among groups of mean magnitudes `[d_out, n]`, exactly as many as asked."""
        if self.keep is Keep.RANDOM:
            scores = torch.rand(magnitudes.shape, generator=layer_generator(self.seed, name))
            scores = scores.to(magnitudes.device)
        else:
            scores = -magnitudes if self.keep is Keep.LARGEST else magnitudes
        return smallest(scores.view(1, -1), protected_count(self.fraction, scores.numel())).view(scores.shape)


@dataclass(frozen=True)
class RoundToNearest(Method):
    """Move every weight to the nearest point of its group's integer grid; optionally quantize inputs per token."""

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
        """The weight on its grid, computed in float32 and stored in the weight's dtype."""
        weight = layer.weight.detach()
        groups = self.grouping.cut(weight.float())
        values, storage, own = self._round(groups, self.bits, weight)
        grid = None
        if self.protect is None and not isinstance(self.grouping, PerTensor):
            grid = WeightGrid(self.bits, groups.shape[-1], self.symmetric, own.scale[..., 0], own.zero_point[..., 0])
        if self.protect is not None:
            values, storage = self._protected(groups, values, weight, name)
        rounded = self.grouping.join(values, weight.shape[1]).to(weight.dtype)
        return SimulatedLinear(rounded, layer.bias, storage=storage, activation_bits=self.activation_bits, grid=grid)

    def _round(self, groups: Tensor, bits: int, weight: Tensor) -> tuple[Tensor, Storage, Grid]:
        grid = fit_grid(groups, bits, symmetric=self.symmetric)
        codes = to_codes(groups, grid)
        count = grid.scale.numel()
        storage = Storage(
            weights=weight.numel(),
            value_bits=weight.numel() * code_bits(codes),
            scale_bits=count * element_bits(grid.scale),
            zero_point_bits=0 if self.symmetric else count * bits,
            held_bits=weight.numel() * element_bits(weight),
        )
        return from_codes(codes, grid), storage, grid

    def _protected(self, groups: Tensor, values: Tensor, weight: Tensor, name: str) -> tuple[Tensor, Storage]:
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
    """Round weights to a narrower float type and compute in the wide one: the noise floor of a dtype."""

    dtype: torch.dtype

    def __str__(self) -> str:
        return f"cast-{str(self.dtype).removeprefix('torch.')}"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> SimulatedLinear:
        """The same weight after a round trip through the dtype."""
        weight = layer.weight.detach()
        narrow = weight.to(self.dtype)
        stored = dense_storage(narrow)
        held = Storage(stored.weights, stored.value_bits, held_bits=dense_storage(weight).held_bits)
        return SimulatedLinear(narrow.to(weight.dtype), layer.bias, storage=held)
