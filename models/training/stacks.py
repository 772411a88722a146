"""Models of one shape as one: their weights stacked, with one optimizer over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from models.training.optimizers import Optimize, adamw
from models.training.plan import Training
from models.training.schedules import scheduler

StackedLoss = Callable[..., Tensor]
"""Function from a model, its rows `[batch, ...]` and what else is given of them to a scalar."""


class _Objective(nn.Module):
    def __init__(self, model: nn.Module, loss: StackedLoss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, *batch: Tensor) -> Tensor:
        return self.loss(self.model, *batch)


class Stack:
    """Weights of all models with one optimizer over them; the models themselves stay where they are."""

    def __init__(
        self,
        models: Sequence[nn.Module],
        training: Training,
        loss: StackedLoss,
        device: str,
        optimize: Optimize = adamw,
    ) -> None:
        objective = _Objective(models[0], loss).train()
        stacked, buffers = stack_module_state([_Objective(model, loss) for model in models])
        if buffers:
            raise ValueError(
                f"models with buffers ({', '.join(buffers)}) cannot be stacked here; train them one by one"
            )
        self.weights = {
            name: value.detach().to(device).requires_grad_(value.requires_grad) for name, value in stacked.items()
        }
        self.trained = {name: value for name, value in self.weights.items() if value.requires_grad}
        self.losses = vmap(lambda batch, weights: functional_call(objective, weights, batch))
        self.optimizer = optimize(self.trained, training)
        self.schedule = scheduler(self.optimizer, training.schedule, warmup=training.warmup, steps=training.steps)
        self.clip = training.clip
        self.last_good: dict[int, dict[str, Tensor]] = {}

    def gradients(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Losses `[models]` of a batch `[models, batch, ...]`, with every model's gradient left on its weights."""
        losses = self.losses(batch, self.weights)
        losses.sum().backward()
        return losses.detach()

    def step(self, batch: tuple[Tensor, ...]) -> tuple[list[float], list[int]]:
        """Train on `[models, batch, ...]`; gives the losses, and which models failed at this step."""
        losses = self.gradients(batch)
        good = _clip(self.trained, losses, self.clip)
        failed = [number for number in torch.nonzero(~good).flatten().tolist() if number not in self.last_good]
        for number in failed:
            self.last_good[number] = {name: value[number].detach().clone() for name, value in self.weights.items()}
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        return losses.tolist(), failed

    @torch.no_grad()
    def unstack(self, models: Sequence[nn.Module]) -> None:
        """Give the models their weights, the last good ones to those that failed."""
        for number, model in enumerate(models):
            places = dict(_Objective(model, lambda _model, rows: rows).named_parameters())
            for name, place in places.items():
                kept = self.last_good.get(number)
                place.copy_(kept[name] if kept else self.weights[name][number])
            model.eval()


@torch.no_grad()
def _clip(trained: dict[str, Tensor], losses: Tensor, most: float) -> Tensor:
    """Clip each model's gradient to a norm and empty those that are no numbers; says which models are good."""
    gradients = [value.grad for value in trained.values() if value.grad is not None]
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
    good = losses.isfinite() & norms.isfinite()
    factor = torch.where(good, (most / (norms + 1e-6)).clamp(max=1.0), 0.0)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))
        gradient[~good] = 0.0  # nought times NaN is NaN
    return good
