"""Training of many small models of one shape at once: their weights stacked, their steps taken together.

A small model leaves a machine idle between operations; stacked, ten seeds take one operation where they took ten. Every
model reads its own order of the data and ends with the weights it would have had alone, up to rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from models.errors import InputError
from models.training.optimizers import Optimize, adamw
from models.training.stacks import Stack, StackedLoss
from models.training.train import History, Training, batch_indices

Watch = Callable[[int, float], None]
"""Function that is told after every step of all models' tokens and of the first one's loss."""


@torch.enable_grad()  # a teacher may be wanted in the midst of scoring
def train_many(
    models: Sequence[nn.Module],
    rows: Tensor,
    training: Training,
    seeds: Sequence[int],
    *,
    loss: StackedLoss,
    given: Sequence[Tensor] = (),
    at_once: int | None = None,
    device: str = "cpu",
    watch: Watch | None = None,
    optimize: Optimize = adamw,
) -> list[History]:
    """Train models of one shape in place, each on its own order of the same rows, as `train` would.

    A model whose loss or gradient is no number stops there: it keeps the last good weights, its history says at which
    step it failed, and the others go on. Models stay on the device that they come from.

    Args:
        models: of one shape.
        rows: `[examples, ...]`, what the loss takes a batch of.
        training: how; its own seed is not used.
        seeds: of each model's order.
        loss: what to lower, from a model, a batch of rows and a batch of each tensor that is given.
        given: `[examples, ...]` each, wherever they lie; only a batch of them is brought to the device at a time.
        at_once: the most models in one stack, where the device holds no more; None for all.
        device: cpu or cuda.
        watch: told of every step.
        optimize: gives the optimizer; by default that of `train`.

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
    rows, histories, size = rows.to(device), [], at_once or len(models)
    for start in range(0, len(models), size):
        stacked, own = models[start : start + size], seeds[start : start + size]
        stack = Stack(stacked, training, loss, device, optimize)
        histories += _trained(stack, [rows, *given], training, own, device, watch)
        stack.unstack(stacked)
    return histories


def _trained(  # noqa: PLR0917 - of train_many
    stack: Stack, data: list[Tensor], training: Training, seeds: Sequence[int], device: str, watch: Watch | None
) -> list[History]:
    """Histories of the models of one stack, trained."""
    histories, examples = [History() for _ in seeds], len(data[0])
    tokens = training.batch * data[0][0].numel()
    for step in range(training.steps):
        started = time.perf_counter()
        indices = torch.tensor([batch_indices(examples, training.batch, step, seed) for seed in seeds])
        losses, failed = stack.step(tuple(each[indices.to(each.device)].to(device) for each in data))
        for number in failed:
            histories[number].failed = step
        _note(histories, losses, tokens, time.perf_counter() - started)
        if watch is not None:
            watch(len(seeds) * tokens, losses[0])
    return histories


def _note(histories: list[History], losses: list[float], tokens: int, seconds: float) -> None:
    for history, value in zip(histories, losses, strict=True):
        if history.failed is None:
            history.losses.append(value)
            history.tokens += tokens
        history.seconds += seconds / len(histories)
