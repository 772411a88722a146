"""Stacked training of an instrument's models: as many at once as the device holds, with curves for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from bench.verdict.documents import Array
from models.memory import room
from models.training.memory import stack_size
from models.training.optimizers import adafactor
from models.training.plan import Training
from models.training.stacks import StackedLoss
from models.training.train_many import train_many

CURVE_POINTS = 40


def trained(  # noqa: PLR0917 - what decides one training
    session: Any,
    models: list[nn.Module],
    seeds: range,
    data: Sequence[Tensor],
    training: Training,
    loss: StackedLoss,
    name: str,
) -> Array:
    """Curves `[models, points]` of models that it trains in place by Adafactor; NaN from where a model failed.

    Args:
        session: whose device computes and whose progress is shown.
        models: of one shape.
        seeds: of each model's order of the data.
        data: rows `[examples, ...]`, and what else the loss is given of them.
        training: how.
        loss: from a model and a batch of each of the data.
        name: of the training, for the progress.

    Raises:
        InputError: the memory that is planned with does not hold a step of one model.
    """
    rows, *given = data
    size = at_once(session.settings, models[0], data, training, loss)
    tokens = training.steps * training.batch * rows.shape[1] * len(models)
    with session.progress.variant(name, tokens) as advance:
        histories = train_many(
            models,
            rows,
            training,
            seeds,
            loss=loss,
            given=given,
            at_once=size,
            device=session.settings.device,
            watch=lambda count, _loss: advance(count),
            optimize=adafactor,
        )
    steps = training.steps
    losses = np.array([history.losses + [np.nan] * (steps - len(history.losses)) for history in histories])
    return np.stack([part.mean(1) for part in np.array_split(losses, min(CURVE_POINTS, steps), axis=1)], axis=1)


def at_once(
    settings: Any, model: nn.Module, data: Sequence[Tensor], training: Training, loss: StackedLoss
) -> int | None:
    """Number of models that a GPU can train in one stack, beside the data that lie there; None for all, on a CPU."""
    if settings.device == "cpu":
        return None
    rows, *given = data
    there = rows.nbytes + sum(each.nbytes for each in given if each.device.type != "cpu")
    return stack_size(model, data, training, loss, room(settings.gpu_memory) - there)
