"""Kinds of small models: their size, their training, and how a student is distilled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from compress.distillation.losses import mixed_loss, reverse_kl, soft_cross_entropy
from models.t5 import T5Shape
from models.text_to_text import PAD, logits_of

DIVERGENCES: dict[str, Callable[..., Tensor]] = {"forward": soft_cross_entropy, "reverse": reverse_kl}


@dataclass(frozen=True)
class Distilled:
    """Distillation of a student while it is fine-tuned (eq. 3.2)."""

    teacher: str
    """One of `SIZES`."""
    alpha: float
    """Weight of the loss on labels."""
    temperature: float
    divergence: str = "forward"
    """One of `DIVERGENCES`, or written: labels are what the teacher writes."""


@dataclass(frozen=True)
class Chosen:
    """Distillation by soft targets whose α and T do best on held-out training examples."""

    teacher: str
    """One of `SIZES`."""


@dataclass(frozen=True)
class Variant:
    """One kind of model, of which every seed gives one accuracy."""

    size: str
    shape: T5Shape | None = None
    """Sizes of the network; None for those of `size`."""
    pretraining_factor: float = 1.0
    """Multiple of the protocol's steps of pre-training."""
    schedule: str | None = None
    """Of pre-training; None for the protocol's."""
    warmup_factor: float = 1.0
    """Multiple of the protocol's warm-up."""
    rate_factor: float = 1.0
    """Multiple of the protocol's rate of pre-training."""
    distilled: Distilled | Chosen | None = None


@dataclass(frozen=True)
class DistilledLoss:
    """Labels and a teacher's logits (eq. 3.1–3.3)."""

    input_length: int
    how: Distilled

    def __call__(self, model: nn.Module, rows: Tensor, teacher: Tensor) -> Tensor:
        """Loss of a model on rows of a table, with the teacher's logits `[rows, target_length, vocabulary]` on them."""
        logits, targets = logits_of(model, rows, self.input_length)
        hard = functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=PAD)
        counted = (targets != PAD).to(logits.dtype)
        soft = DIVERGENCES[self.how.divergence](logits, teacher, self.how.temperature, counted)
        return mixed_loss(hard, soft, self.how.alpha)
