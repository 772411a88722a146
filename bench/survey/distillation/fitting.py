"""Training of a classifier to its best weights on held-out examples, and its answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from bench.survey.distillation.tables import Part
from models.training.plan import Loss, Training
from models.training.train import train

SCORED_TOGETHER = 64


@torch.no_grad()
def logits_of(model: nn.Module, tokens: Tensor, device: str) -> Tensor:
    """Logits `[texts, classes]` of a classifier in evaluation, on the CPU."""
    model.eval().to(device)
    return torch.cat([model(part.to(device)).logits.float().cpu() for part in tokens.split(SCORED_TOGETHER)])


def correct(model: nn.Module, part: Part, device: str) -> Tensor:
    """Texts that a classifier answers right, true or false, `[texts]`."""
    return logits_of(model, part.tokens, device).argmax(1) == part.labels


class Best:
    """Weights of a model at its best score on held-out examples, over some evaluations while it learns."""

    def __init__(self, model: nn.Module, held_out: Part, every: int, device: str) -> None:
        self.model, self.held_out, self.every, self.device = model, held_out, every, device
        self.steps, self.score = 0, -1.0
        self._weights: dict[str, Tensor] = {}

    def watch(self, _tokens: int, _loss: float) -> None:
        """Score the model where an evaluation is due; for `train`."""
        self.steps += 1
        if self.steps % self.every:
            return
        score = float(correct(self.model, self.held_out, self.device).float().mean())
        self.model.train()
        if score > self.score:
            self.score = score
            self._weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def restore(self) -> None:
        """Give the model its best weights."""
        self.model.load_state_dict(self._weights)


def fit(
    model: nn.Module,
    rows: Tensor,
    training: Training,
    *,
    loss: Loss,
    held_out: Part,
    evaluations: int,
    seed: int,
    device: str,
    advance: Callable[[int], None],
) -> float:
    """Train a model in place and leave it with its best weights; gives the share of held-out examples it has right.

    Args:
        model: a classifier.
        rows: `[texts, length + 1]`, what the loss takes a batch of.
        training: how; its own seed is not used.
        loss: what to lower.
        held_out: decides which weights are kept.
        evaluations: number of times that the model is scored.
        seed: of the order of the rows and of dropout.
        device: cpu or cuda.
        advance: told of every step.
    """
    best = Best(model, held_out, max(1, training.steps // evaluations), device)

    def watch(tokens: int, value: float) -> None:
        best.watch(tokens, value)
        advance(1)

    train(model, rows, replace(training, seed=seed), loss=loss, device=device, watch=watch)
    best.restore()
    return best.score
