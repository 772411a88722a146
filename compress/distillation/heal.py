"""Block-local healing: every compressed block is trained to give the dense model's hidden states, one block at a time.

No gradient crosses a block, so memory is one block's and a model heals where it could not be trained end to end.
A block reads what the healed blocks before it give, so it also learns to undo their errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compress.calibrate import BlockInput


@dataclass(frozen=True)
class Healing:
    """Training of every block."""

    passes: int = 2
    """Passes over the calibration batches."""
    learning_rate: float = 1e-3
    """Learning rate of Adam, falling to zero along half a cosine."""

    def __post_init__(self) -> None:
        if self.passes < 0 or not self.learning_rate > 0:
            raise ValueError(f"{self.passes} passes at learning rate {self.learning_rate}: give at least 0 and above 0")


def relative_error(given: Tensor, wanted: Tensor) -> Tensor:
    """Squared distance over squared length of every token's hidden state `[..., width]`, the mean over tokens.

    The next block normalises each token by its own length, and a few tokens are hundreds of times longer than others.
    """
    wanted = wanted.float()
    return ((given.float() - wanted).square().sum(-1) / wanted.square().sum(-1).clamp(min=1e-12)).mean()


def heal(
    blocks: Sequence[nn.Module],
    dense: Sequence[nn.Module],
    inputs: Sequence[BlockInput],
    trained: Callable[[nn.Module], Iterable[nn.Parameter]],
    healing: Healing,
    *,
    stands_for: Sequence[int] | None = None,
    advance: Callable[[int], None] = lambda tokens: None,
) -> list[tuple[float, float]]:
    """Trains every block on the dense model's hidden states.

    Args:
        blocks: of the compressed model, in order; trained in place.
        dense: blocks of the dense model.
        inputs: what enters the first block, for every calibration batch.
        trained: the parameters of a block that may change.
        healing: how long and how fast.
        stands_for: for each block, the dense block whose output it must give; by default its own number.
        advance: told of the tokens of every training step.

    Returns:
        Each block's relative error before and after, over the calibration batches.
    """
    last = list(stands_for) if stands_for is not None else list(range(len(blocks)))
    if len(last) != len(blocks) or last != sorted(set(last)) or last[-1] >= len(dense):
        raise ValueError(f"{len(blocks)} blocks cannot stand for the dense blocks {last} of {len(dense)}")
    ours, theirs, done = list(inputs), list(inputs), 0
    errors = []
    for block, until in zip(blocks, last, strict=True):
        with torch.no_grad():
            while done <= until:
                theirs = [batch.through(dense[done]) for batch in theirs]
                done += 1
        pairs = list(zip(ours, [batch.hidden for batch in theirs], strict=True))
        errors.append(_heal_block(block, pairs, list(trained(block)), healing, advance))
        with torch.no_grad():
            ours = [batch.through(block) for batch in ours]
    return errors


Pairs = list[tuple[BlockInput, Tensor]]
"""Inputs of a block, and the hidden states that should leave it, for every batch."""


def _heal_block(
    block: nn.Module, pairs: Pairs, parameters: list[nn.Parameter], healing: Healing, advance: Callable[[int], None]
) -> tuple[float, float]:
    before = _error(block, pairs)
    if not healing.passes or not parameters:
        return before, before
    kept = [parameter.detach().clone() for parameter in parameters]
    was = [parameter.requires_grad for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad_(True)
    _descend(block, pairs, parameters, healing, advance)
    for parameter, wanted_gradient in zip(parameters, was, strict=True):
        parameter.requires_grad_(wanted_gradient)
        parameter.grad = None
    after = _error(block, pairs)
    if after <= before:
        return before, after
    with torch.no_grad():  # steps too long, or no number: what it was is better
        for parameter, value in zip(parameters, kept, strict=True):
            parameter.copy_(value)
    return before, before


@torch.enable_grad()
def _descend(
    block: nn.Module, pairs: Pairs, parameters: list[nn.Parameter], healing: Healing, advance: Callable[[int], None]
) -> None:
    optimizer = torch.optim.Adam(parameters, lr=healing.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, healing.passes * len(pairs))
    for _ in range(healing.passes):
        for batch, wanted in pairs:
            optimizer.zero_grad()
            relative_error(batch.through(block).hidden, wanted).backward()
            optimizer.step()
            schedule.step()
            advance(wanted[..., 0].numel())


@torch.no_grad()
def _error(block: nn.Module, pairs: Pairs) -> float:
    return sum(float(relative_error(batch.through(block).hidden, wanted)) for batch, wanted in pairs) / len(pairs)
