"""Memory of a training step, and how many models can be stacked in what there is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from models.device import GB
from models.errors import InputError
from models.memory import on_meta, peak_bytes
from models.training.plan import Training
from models.training.stacks import Stack, StackedLoss


def step_bytes(model: nn.Module, batch: Tensor, loss: StackedLoss) -> int:
    """Bytes at the peak of one training step by AdamW in float32: weights, gradients, moments and what autograd saves.

    A step in bfloat16 takes less: it saves half the bytes of most activations, beside a copy of the weights.

    Args:
        model: anywhere; it is not touched.
        batch: tokens of one part of a batch `[sequences, context]`; only its shape counts.
        loss: from the model and the batch.
    """
    model = on_meta(model).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, part = torch.optim.AdamW(trained), torch.empty_like(batch, device="meta")
    return _peak(model.parameters(), optimizer, lambda: loss(model, part).backward())


def stacked_step_bytes(
    model: nn.Module, data: Sequence[Tensor], training: Training, loss: StackedLoss, *, models: int = 1
) -> int:
    """Bytes at the peak of one step of `train_many` on a stack of models, which grow with their number.

    Args:
        model: one of them, anywhere; it is not touched.
        data: rows `[examples, ...]` and what else the loss is given of them; only the shapes count.
        training: how; gives the batch.
        loss: from a model and a batch of each of the data.
        models: in the stack.
    """
    stack = Stack([on_meta(model) for _ in range(models)], training, loss, "meta")
    shapes = [(models, training.batch, *each.shape[1:]) for each in data]
    batch = tuple(torch.empty(shape, dtype=each.dtype, device="meta") for shape, each in zip(shapes, data, strict=True))
    return _peak(stack.weights.values(), stack.optimizer, lambda: stack.gradients(batch))


def stack_size(model: nn.Module, data: Sequence[Tensor], training: Training, loss: StackedLoss, limit: int) -> int:
    """Number of models whose stacked training step fits the limit, in bytes.

    Raises:
        InputError: not even one does.
    """
    one = stacked_step_bytes(model, data, training, loss)
    if one > limit:
        raise InputError(
            f"a training step of one model takes {one / GB:.1f} GB and the run plans with {limit / GB:.1f} GB for it; "
            "give a larger --gpu-memory or a lower --effort"
        )
    return limit // one


def _peak(weights: Iterable[Tensor], optimizer: torch.optim.Optimizer, backward: Callable[[], object]) -> int:
    """Bytes at the peak of a step that is not the first: the moments are there already."""
    for group in optimizer.param_groups:
        group["foreach"] = True  # as a GPU does it, all tensors in one launch
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    moments = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]

    def step() -> None:
        backward()
        optimizer.step()

    return peak_bytes(step, [*weights, *moments])
