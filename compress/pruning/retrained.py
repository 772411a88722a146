"""Pruning that is trained with: masks that stay through training, and schedules by which they grow.

Weights go by magnitude, compared over all layers that are given (Han et al. 2015; Frankle et al. 2020 prune globally
too). A weight that has gone is zero in every forward pass and gets no gradient, so it never comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from compress.pruning.magnitude import smallest_across
from compress.selection import check_fraction, layer_generator, removed_count, smallest

Masks = dict[str, Tensor]
"""Weights that are kept, True, by layer: `[d_out, d_in]` each."""


class Kept(nn.Module):
    """Parametrization of a weight that holds all but the kept weights at zero."""

    kept: Tensor

    def __init__(self, kept: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", kept.clone())

    def forward(self, weight: Tensor) -> Tensor:
        """Weight with zeros, exact whatever stands under them."""
        return weight.masked_fill(~self.kept, 0)


def hold(layers: Mapping[str, nn.Linear], masks: Mapping[str, Tensor]) -> None:
    """Keep weights at zero from now on, in place; layers that already have a mask get the new one.

    Args:
        layers: by name.
        masks: of each, True for the weights that stay.

    Raises:
        ValueError: a mask is missing, or of another shape than its layer's weight.
    """
    for name, layer in layers.items():
        if name not in masks:
            raise ValueError(f"there is no mask for {name}; give one for each of {', '.join(layers)}")
        if masks[name].shape != layer.weight.shape:
            raise ValueError(
                f"the mask of {name} is {tuple(masks[name].shape)} and its weight {tuple(layer.weight.shape)}; a "
                "ticket fits only a model of the shape that it was found in"
            )
    for name, layer in layers.items():
        kept = masks[name].to(device=layer.weight.device, dtype=torch.bool)
        if (held := held_mask(layer)) is not None:
            held.copy_(kept)
        else:
            parametrize.register_parametrization(layer, "weight", Kept(kept))


def held_mask(layer: nn.Module) -> Tensor | None:
    """Mask that a layer keeps, itself and no copy; None where it keeps none."""
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    own = [module for module in layer.parametrizations.weight if isinstance(module, Kept)]  # pyright: ignore
    return own[0].kept if own else None


def masks_of(layers: Mapping[str, nn.Linear]) -> Masks:
    """Copies of the masks that layers keep; all True where one keeps none."""
    held = {name: held_mask(layer) for name, layer in layers.items()}
    return {
        name: torch.ones_like(layer.weight, dtype=torch.bool) if (mask := held[name]) is None else mask.clone()
        for name, layer in layers.items()
    }


def release(layers: Mapping[str, nn.Linear]) -> None:
    """Make layers plain again, with their zeros in their weights."""
    for layer in layers.values():
        if held_mask(layer) is not None:
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


@torch.no_grad()
def by_magnitude(layers: Mapping[str, nn.Linear], sparsity: float) -> Masks:
    """Masks without the smallest weights of all layers together, exactly `round(sparsity * weights)` of them.

    Weights that are zero go first, so masks of rising sparsity are nested.

    Args:
        layers: by name.
        sparsity: share of all their weights that goes.
    """
    check_fraction("sparsity", sparsity)
    scores = [layer.weight.detach().float().abs().contiguous() for layer in layers.values()]
    # A weight under a mask goes before one that is kept and happens to be zero.
    for score, layer in zip(scores, layers.values(), strict=True):
        if (held := held_mask(layer)) is not None:
            score.add_(torch.finfo(score.dtype).tiny).masked_fill_(~held, 0)
    count = removed_count(sparsity, sum(score.numel() for score in scores))
    return {name: ~mask for name, mask in zip(layers, smallest_across(scores, count), strict=True)}


def shuffled(masks: Mapping[str, Tensor], seed: int) -> Masks:
    """Random masks that keep as many weights of each layer: random tickets of the same layer-wise sparsity."""
    chosen = {}
    for name, mask in masks.items():
        scores = torch.rand(1, mask.numel(), generator=layer_generator(seed, name))
        chosen[name] = ~smallest(scores, mask.numel() - int(mask.sum())).view(mask.shape)
    return chosen


def sparsity_of(masks: Mapping[str, Tensor]) -> float:
    """Share of weights that have gone."""
    return 1 - sum(int(mask.sum()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values())


@dataclass(frozen=True)
class CubicSchedule:
    """Sparsity that rises from one training step to another, fast and then slowly (Zhu & Gupta 2017, eq. 1)."""

    final: float
    """Sparsity at the end."""
    steps: int
    """Steps over which it rises; then it stays."""
    every: int = 1
    """Steps between two changes."""
    initial: float = 0.0

    def __post_init__(self) -> None:
        check_fraction("initial sparsity", self.initial)
        check_fraction("final sparsity", self.final)
        if self.steps < 1 or self.every < 1:
            raise ValueError(f"{self.steps} steps with a change every {self.every}; both must be at least 1")

    def at(self, step: int) -> float:
        """Sparsity after so many steps."""
        done = min(1.0, step / self.steps)
        return self.final + (self.initial - self.final) * (1 - done) ** 3

    def prune(self, layers: Mapping[str, nn.Linear], step: int) -> None:
        """Let layers that keep masks lose what is due after so many steps; nothing comes back."""
        if step <= self.steps and (step % self.every == 0 or step == self.steps):
            hold(layers, by_magnitude(layers, self.at(step)))
