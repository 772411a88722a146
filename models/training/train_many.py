"""Training of many small models of one shape at once: their weights stacked, their steps taken together.

A small model leaves a machine idle between operations; stacked, ten seeds take one operation where they took ten. Every
model reads its own order of the data and ends with the weights it would have had alone, up to rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from models.errors import InputError
from models.training.schedules import scheduler
from models.training.train import History, Loss, Training, batch_indices

Watch = Callable[[int, float], None]
"""Function that is told after every step of all models' tokens and of the first one's loss."""


class _Objective(nn.Module):
    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, rows: Tensor) -> Tensor:
        return self.loss(self.model, rows)


class _Stack:
    """The weights of all models with one optimizer over them."""

    def __init__(self, models: Sequence[nn.Module], training: Training, loss: Loss, device: str) -> None:
        objective = _Objective(models[0], loss).train().to(device)
        stacked, buffers = stack_module_state([_Objective(model, loss).to(device) for model in models])
        self.weights = {name: value.detach().requires_grad_(value.requires_grad) for name, value in stacked.items()}
        self.trained = {name: value for name, value in self.weights.items() if value.requires_grad}
        self.losses = vmap(lambda batch, weights: functional_call(objective, weights, (batch,)))
        if buffers:
            raise ValueError(
                f"models with buffers ({', '.join(buffers)}) cannot be stacked here; train them one by one"
            )
        groups = _groups(self.trained, training.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=training.learning_rate, betas=training.betas)
        self.schedule = scheduler(self.optimizer, training.schedule, warmup=training.warmup, steps=training.steps)
        self.clip = training.clip
        self.last_good: dict[int, dict[str, Tensor]] = {}

    def step(self, batches: Tensor) -> tuple[list[float], list[int]]:
        """Train on `[models, batch, ...]`; gives the losses, and which models failed at this step."""
        losses = self.losses(batches, self.weights)
        losses.sum().backward()
        good = _clip(self.trained, losses.detach(), self.clip)
        failed = [number for number in torch.nonzero(~good).flatten().tolist() if number not in self.last_good]
        for number in failed:
            self.last_good[number] = {name: value[number].detach().clone() for name, value in self.weights.items()}
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        return losses.detach().tolist(), failed


@torch.enable_grad()  # a teacher may be wanted in the midst of scoring
def train_many(
    models: Sequence[nn.Module],
    rows: Tensor,
    training: Training,
    seeds: Sequence[int],
    *,
    loss: Loss,
    device: str = "cpu",
    watch: Watch | None = None,
) -> list[History]:
    """Train models of one shape in place, each on its own order of the same rows, as `train` would.

    A model whose loss or gradient is no number stops there: it keeps the last good weights, its history says at which
    step it failed, and the others go on.

    Args:
        models: of one shape.
        rows: `[examples, ...]`, what the loss takes a batch of.
        training: how; its own seed is not used.
        seeds: of each model's order.
        loss: what to lower.
        device: cpu or cuda.
        watch: told of every step.

    Raises:
        InputError: no rows, or other numbers of models and seeds.
        ValueError: settings that this loop does not have (parts of a batch, bf16), or models with buffers.
    """
    if not len(rows) or not models or len(models) != len(seeds):
        raise InputError(f"{len(models)} models with {len(seeds)} seeds on {len(rows)} examples; give one seed a model")
    if training.accumulation != 1 or training.precision != "no":
        raise ValueError(
            "models trained together take whole batches in float32; use models.training.train for anything else"
        )
    stack, histories, rows = _Stack(models, training, loss, device), [History() for _ in models], rows.to(device)
    tokens = training.batch * rows[0].numel()
    for step in range(training.steps):
        started = time.perf_counter()
        indices = [batch_indices(len(rows), training.batch, step, seed) for seed in seeds]
        losses, failed = stack.step(rows[torch.tensor(indices, device=rows.device)])
        for number in failed:
            histories[number].failed = step
        _note(histories, losses, tokens, time.perf_counter() - started)
        if watch is not None:
            watch(len(models) * tokens, losses[0])
    _unstack(models, stack.weights, stack.last_good)
    return histories


def _groups(trained: dict[str, Tensor], decay: float) -> list[dict]:
    """Parameter groups as in `models.training.train`; a stacked matrix has one axis more."""
    return [
        {"params": [value for value in trained.values() if value.ndim > 2], "weight_decay": decay},
        {"params": [value for value in trained.values() if value.ndim <= 2], "weight_decay": 0.0},
    ]


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


def _note(histories: list[History], losses: list[float], tokens: int, seconds: float) -> None:
    for history, value in zip(histories, losses, strict=True):
        if history.failed is None:
            history.losses.append(value)
            history.tokens += tokens
        history.seconds += seconds / len(histories)


@torch.no_grad()
def _unstack(models: Sequence[nn.Module], weights: dict[str, Tensor], last_good: dict[int, dict[str, Tensor]]) -> None:
    for number, model in enumerate(models):
        places = dict(_Objective(model, lambda _model, rows: rows).named_parameters())
        for name, place in places.items():
            kept = last_good.get(number)
            place.copy_(kept[name] if kept else weights[name][number])
        model.eval()
