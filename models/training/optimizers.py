"""Optimizers of stacked weights, from the weights by name `[models, ...]` and the settings of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from models.training.plan import Training

Optimize = Callable[[Mapping[str, Tensor], Training], Optimizer]


def adamw(weights: Mapping[str, Tensor], training: Training) -> Optimizer:
    """AdamW with parameter groups as in `models.training.train`; a stacked matrix has one axis more."""
    groups = [
        {"params": [value for value in weights.values() if value.ndim > 2], "weight_decay": training.weight_decay},
        {"params": [value for value in weights.values() if value.ndim <= 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=training.learning_rate, betas=training.betas)


def adafactor(weights: Mapping[str, Tensor], training: Training) -> Optimizer:
    """Adafactor as T5 is trained with it: rates are shares of a matrix's root mean square (Raffel et al. 2020, §3.1.2).

    A rate that serves an embedding of deviation 1 so serves a matrix of deviation 0.1, alone or in a chain.
    """
    return _StackedAdafactor(weights.values(), lr=training.learning_rate, weight_decay=training.weight_decay)


class _StackedAdafactor(torch.optim.Adafactor):
    """Adafactor of each model's own matrices, which are views of the stacked ones."""

    def __init__(self, stacked: Iterable[Tensor], *, lr: float, weight_decay: float) -> None:
        self.stacked = list(stacked)
        self.own = [[nn.Parameter(part) for part in weight.detach().unbind()] for weight in self.stacked]
        super().__init__([part for own in self.own for part in own], lr=lr, weight_decay=weight_decay)

    def step(self, closure: Any = None) -> Any:
        """Hand each model its gradients, then take the step."""
        for weight, own in zip(self.stacked, self.own, strict=True):
            if weight.grad is not None:
                for part, gradient in zip(own, weight.grad.unbind(), strict=True):
                    part.grad = gradient
        return super().step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the stacked weights and their views."""
        super().zero_grad(set_to_none)
        for weight in self.stacked:
            weight.grad = None
