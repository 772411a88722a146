"""Objectives that students of the ladder minimise: the text alone, or the text and their teacher."""

from __future__ import annotations

from enum import Enum
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from compress.distillation.losses import TEMPERATURE, mixed_loss, soft_target_loss, triple_loss
from models.training.train import Loss, next_token_loss

ALPHA = 0.5
"""Share of the text where it is mixed with soft targets."""


class Objective(Enum):
    """Quantity that training lowers, by whose method it is."""

    TEXT = "cross-entropy with the text"
    TRIPLE = "DistilBERT's three losses"
    INTERMEDIATE = "KnGPT-2's: cross-entropy, and the distance of every layer's states"
    SOFT = "TQCompressor's: cross-entropy and the teacher's soft targets"


def loss_of(objective: Objective, teacher: PreTrainedModel) -> Loss:
    """Loss that training lowers for an objective, given the teacher."""
    if objective is Objective.TEXT:
        return next_token_loss
    return partial(distilled, teacher, objective)


def distilled(teacher: PreTrainedModel, objective: Objective, model: nn.Module, tokens: Tensor) -> Tensor:
    """Loss of a student that is distilled, over `[batch, context]`."""
    teacher = teacher.to(tokens.device)  # type: ignore[arg-type]
    with torch.no_grad():
        wanted = teacher(input_ids=tokens, output_hidden_states=True)
    output = model(input_ids=tokens, output_hidden_states=True)
    logits = output.logits[:, :-1], wanted.logits[:, :-1]
    hard = functional.cross_entropy(logits[0].flatten(0, 1).float(), tokens[:, 1:].flatten())
    if objective is Objective.TRIPLE:
        return triple_loss(hard, logits, (output.hidden_states[-1], wanted.hidden_states[-1]))
    if objective is Objective.SOFT:
        return mixed_loss(hard, soft_target_loss(*logits, TEMPERATURE), ALPHA)
    return hard + states_loss(output.hidden_states, wanted.hidden_states)


def states_loss(student: tuple[Tensor, ...], teacher: tuple[Tensor, ...]) -> Tensor:
    """Distance of the states of embedding and layers from the teacher's, mean over them (Edalati et al. 2022, ILKD).

    Each is the mean squared error over the mean square of the teacher's, so that no layer outweighs the others by its
    scale. The method's distance of attention weights is left out: fused attention never holds them.

    Raises:
        ValueError: the models have different depths.
    """
    if len(student) != len(teacher):
        raise ValueError(f"{len(student)} states against the teacher's {len(teacher)}; depths must be the same")
    parts = [
        functional.mse_loss(s.float(), t.float()) / t.float().square().mean()
        for s, t in zip(student, teacher, strict=True)
    ]
    return torch.stack(parts).mean()
