"""Gradients of a loss by the weights of layers: their sum and the sum of their squares over batches.

The mean of squares is the diagonal of the empirical Fisher information, by which the Hessian's is estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class GradientSums:
    """Sums of a weight's gradients, `[d_out, d_in]` float32 each."""

    def __init__(self, weight: Tensor) -> None:
        self.sum = torch.zeros_like(weight, dtype=torch.float32, requires_grad=False)
        self.squares = torch.zeros_like(self.sum)
        self.batches = 0

    def add(self, gradient: Tensor) -> None:
        """Adds one batch's gradient."""
        gradient = gradient.float()
        self.sum += gradient
        self.squares.addcmul_(gradient, gradient)
        self.batches += 1

    @property
    def mean(self) -> Tensor:
        """Gradient of the mean loss, `[d_out, d_in]`."""
        return self.sum / self._counted()

    @property
    def fisher(self) -> Tensor:
        """Mean square of the batches' gradients, `[d_out, d_in]`."""
        return self.squares / self._counted()

    def _counted(self) -> int:
        if not self.batches:
            raise ValueError("no gradient was taken; give at least one batch")
        return self.batches


def gradient_sums(
    layers: Mapping[str, nn.Linear], loss: Callable[[Tensor], Tensor], batches: Iterable[Tensor]
) -> dict[str, GradientSums]:
    """Sums of the gradients of a loss by the layers' weights, by the layers' names.

    One backward pass a batch. A weight's gradient is added and freed as soon as it is there, so that beside the model
    and one batch's activations there are two float32 numbers a weight, whatever the number of batches. Squares are of a
    batch's own gradient: give one sequence at a time for the Fisher information. The model is left as it was.

    Args:
        layers: by name.
        loss: from a token batch `[batch, tokens]` to a scalar.
        batches: of tokens.

    Raises:
        ValueError: no batch, a loss or a gradient that is not finite, or a layer that the loss does not depend on.
    """
    sums = {name: GradientSums(layer.weight) for name, layer in layers.items()}
    count = 0
    with _collecting(layers, sums), torch.enable_grad():
        for count, batch in enumerate(batches, 1):
            value = loss(batch)
            if not value.isfinite():
                raise ValueError(f"the loss of calibration batch {count} is {value.item()}; leave that text out")
            if value.requires_grad:
                value.backward()
    for name, own in sums.items():
        if own.batches != count or not count:
            raise ValueError(
                f"{name} had {own.batches} gradients in {count} batches; give at least one batch, and layers that "
                "the loss depends on"
            )
        if not (own.sum.isfinite().all() and own.squares.isfinite().all()):
            raise ValueError(
                f"the gradients of {name} overflow; compute in float32, or leave out the text that does it"
            )
    return sums


@contextmanager
def _collecting(layers: Mapping[str, nn.Linear], sums: Mapping[str, GradientSums]) -> Iterator[None]:
    """Gradients of the layers' weights go to the sums, as long as the context is open."""
    weights = {name: layer.weight for name, layer in layers.items()}
    before = {name: (weight.requires_grad, weight.grad) for name, weight in weights.items()}

    def adding(name: str) -> Callable[[Tensor], None]:
        def add(weight: Tensor) -> None:
            if weight.grad is not None:
                sums[name].add(weight.grad)
                weight.grad = None

        return add

    hooks = []
    try:
        for name, weight in weights.items():
            weight.grad = None
            weight.requires_grad_(True)
            hooks.append(weight.register_post_accumulate_grad_hook(adding(name)))
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for name, weight in weights.items():
            needs, gradient = before[name]
            weight.requires_grad_(needs)
            weight.grad = gradient
