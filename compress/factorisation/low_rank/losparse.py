"""Training of LoSparse (Li et al. 2023): factors and residual move together, and rows of the residual go on the way.

Importances are PLATON's (Zhang et al. 2022), as the authors' program has them: the sensitivity `|s · ∂L/∂s|` of every
weight, smoothed, times how much it varies; a row's is the mean over its weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from compress.factorisation.low_rank.layer import LowRankLinear
from compress.selection import smallest


@dataclass(frozen=True)
class LoSparse:
    """Schedule and smoothing of the pruning of residuals."""

    steps: int
    """Steps of the whole training, T."""
    final: float = 0.1
    """Share of the residuals' rows that stay in the end."""
    first: int = 0
    """Steps before any row goes, t_i."""
    last: int = 0
    """Steps at the end in which the share stays what it is, t_f."""
    every: int = 1
    """Steps between two prunings while the share falls."""
    sensitivity: float = 0.85
    """Decay of the mean sensitivity, β1."""
    uncertainty: float = 0.85
    """Decay of the mean uncertainty, β2."""

    def __post_init__(self) -> None:
        if not (0 <= self.first and 0 <= self.last and self.first + self.last < self.steps and self.every >= 1):
            raise ValueError(
                f"{self.first} steps before and {self.last} after the pruning of {self.steps} steps, every "
                f"{self.every}; leave at least one step between them"
            )
        if not 0 < self.final <= 1:
            raise ValueError(f"final is {self.final}; the share of rows that stays must be above 0 and at most 1")
        for name, decay in (("sensitivity", self.sensitivity), ("uncertainty", self.uncertainty)):
            if not 0 <= decay < 1:
                raise ValueError(f"{name} is {decay}; a decay must be at least 0 and below 1")

    def share(self, step: int) -> float:
        """Share of rows that stay after a step, numbered from 1: all, then falling by a cubic, then the final one."""
        if step <= self.first:
            return 1.0
        if step > self.steps - self.last:
            return self.final
        left = 1 - (step - self.first) / (self.steps - self.first - self.last)
        return self.final + (1 - self.final) * left**3

    def prunes(self, step: int) -> bool:
        """True for the steps after which rows go."""
        return step > self.steps - self.last or (step > self.first and step % self.every == 0)


@dataclass
class ResidualPruning:
    """Pruning of the rows of residuals during a training: `observe` after the backward pass, `prune` after the step."""

    layers: Mapping[str, LowRankLinear]
    rule: LoSparse
    _sensitivity: dict[str, Tensor] = field(default_factory=dict)
    _uncertainty: dict[str, Tensor] = field(default_factory=dict)
    _step: int = 0

    def __post_init__(self) -> None:
        if without := [name for name, layer in self.layers.items() if layer.residual is None]:
            raise ValueError(f"{without[0]} has no residual whose rows could go; give layers that have one")

    @torch.no_grad()
    def observe(self) -> None:
        """Takes the gradients of a step into the means, before the optimizer moves or clears anything.

        With sensitivity `I = |s g|`: `Ī ← β1 Ī + (1 - β1) I`, then `Ū ← β2 Ū + (1 - β2) |I - Ī|`.

        Raises:
            ValueError: a residual has no gradient.
        """
        for name, layer in self.layers.items():
            residual = layer.residual
            if residual is None or residual.grad is None:
                raise ValueError(f"the residual of {name} has no gradient; observe after the backward pass")
            now = (residual * residual.grad).abs()
            mean = self._sensitivity.setdefault(name, torch.zeros_like(now))
            spread = self._uncertainty.setdefault(name, torch.zeros_like(now))
            mean.mul_(self.rule.sensitivity).add_(now, alpha=1 - self.rule.sensitivity)
            spread.mul_(self.rule.uncertainty).add_((now - mean).abs(), alpha=1 - self.rule.uncertainty)

    def importance(self, name: str) -> Tensor:
        """Importance of a residual's rows, `[d_out]`: the mean over a row of `Ī Ū`."""
        return (self._sensitivity[name] * self._uncertainty[name]).mean(1)

    @torch.no_grad()
    def prune(self) -> float:
        """Sets rows to zero after the optimizer's step, the least important over all layers; gives the share kept.

        Rows that went may come back: what the optimizer gives them counts at the next pruning.
        """
        self._step += 1
        share = self.rule.share(self._step)
        if self.rule.prunes(self._step):
            scores = torch.cat([self.importance(name) for name in self.layers])
            gone = smallest(scores[None], round((1 - share) * len(scores)))[0]
            sizes = [layer.out_features for layer in self.layers.values()]
            for layer, rows in zip(self.layers.values(), gone.split(sizes), strict=True):
                if layer.residual is not None:
                    layer.residual[rows] = 0
        return share
