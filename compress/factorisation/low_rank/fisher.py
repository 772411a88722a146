"""Fisher information of weight rows: squared gradients of the language-modelling loss, summed over sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compress.calibrate import Chosen, every_layer, linear_layers

Loss = Callable[[Tensor], Tensor]
"""Mean loss of a token batch `[batch, tokens]`, a scalar with a gradient."""


@dataclass(frozen=True)
class RowImportance:
    """Importance of every row of the layers' weights, by the layers' names in the model."""

    rows: Mapping[str, Tensor]
    """`Σ_j E[g_ij²]` of row i, `[d_out]` float64, the mean over sequences."""
    sequences: int
    """Number of sequences whose gradients were squared."""


def fisher_rows(
    loss: Loss,
    blocks: Sequence[nn.Module],
    batches: Iterable[Tensor],
    *,
    chosen: Chosen = every_layer,
    advance: Callable[[int], None] = lambda _tokens: None,
) -> RowImportance:
    """Row importances `I_i = Σ_j E[g_ij²]` over calibration sequences (Hsu et al. 2022, eq. 3 and §3.2).

    The gradient g of one sequence's mean loss is squared before the next sequence's is taken, as the empirical Fisher
    information has it: a batch's own gradient would square the sum. Costs a forward and a backward pass of every
    sequence, about three forward passes of the same tokens; gradients of one block at most are held at once.

    Args:
        loss: of the dense model.
        blocks: the decoder blocks, in order.
        batches: calibration tokens, each `[batch, tokens]`.
        chosen: which linear layers; by default all of them.
        advance: told of the tokens of every sequence.

    Raises:
        ValueError: no sequence, or a gradient that is not finite.
    """
    layers = {f"{i}.{n}": layer for i, block in enumerate(blocks) for n, layer in linear_layers(block, chosen).items()}
    sums = {
        name: torch.zeros(layer.out_features, dtype=torch.float64, device=layer.weight.device)
        for name, layer in layers.items()
    }
    sequences = 0
    weights = [layer.weight for layer in layers.values()]
    with _squaring(layers, sums), torch.enable_grad():
        for batch in batches:
            for sequence in batch.split(1):
                loss(sequence).backward(inputs=weights)
                sequences += 1
                advance(sequence.numel())
    if not sequences:
        raise ValueError("no sequence to take gradients of; give at least one calibration batch")
    for name, rows in sums.items():
        if not rows.isfinite().all():
            raise ValueError(
                f"the squared gradients of {name} overflowed; compute in float32 or repair the model before compressing"
            )
    return RowImportance({name: rows / sequences for name, rows in sums.items()}, sequences)


@contextmanager
def _squaring(layers: Mapping[str, nn.Linear], sums: dict[str, Tensor]) -> Iterator[None]:
    """Adds each gradient's squares to its rows' sums as soon as it is there, and lets it go."""

    def adding(name: str) -> Callable[[Tensor], None]:
        def add(parameter: Tensor) -> None:
            gradient, parameter.grad = parameter.grad, None
            if gradient is not None:
                sums[name] += torch.linalg.vector_norm(gradient, dim=1, dtype=torch.float64).square()

        return add

    wanted = {layer: layer.weight.requires_grad for layer in layers.values()}
    hooks = []
    try:
        for name, layer in layers.items():
            layer.weight.requires_grad_(True)
            hooks.append(layer.weight.register_post_accumulate_grad_hook(adding(name)))
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for layer, was in wanted.items():
            layer.weight.requires_grad_(was)
            layer.weight.grad = None
