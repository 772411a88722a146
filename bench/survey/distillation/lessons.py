"""Lessons of a student and their losses: labels, a teacher's logits, its hidden states, or a mixture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from compress.distillation.classifiers import logit_loss, patient_layers, patient_loss
from compress.distillation.losses import mixed_loss, reverse_kl, soft_target_loss

MATCHES: dict[str, Callable[..., Tensor]] = {"forward": soft_target_loss, "reverse": reverse_kl}
LOGITS = "logits"


@dataclass(frozen=True)
class Lesson:
    """One way of teaching a student; as it stands, by labels alone."""

    teacher: str = ""
    """Name of a teacher; empty for labels alone."""
    match: str = "forward"
    """Divergence of probabilities, one of `MATCHES`, or logits for their squared distance."""
    alpha: float = 0.0
    """Weight of the loss on labels, beside a teacher."""
    temperature: float = 1.0
    beta: float = 0.0
    """Weight of the loss on hidden states."""
    augmented: bool = False
    """Whether augmented texts are learned from as well; without a teacher they keep their text's label."""


@dataclass(frozen=True)
class Student:
    """A student and how it is taught."""

    kind: str
    """One of bilstm, encoder (a small one from a random start), or first-layers (of MiniLM)."""
    lesson: Lesson = Lesson()


@dataclass(frozen=True)
class LessonLoss:
    """Loss of a lesson on rows `[batch, length + 1]`: tokens, and the example's own number."""

    lesson: Lesson
    labels: Tensor
    """One an example."""
    logits: Tensor | None = None
    """Teacher's, `[examples, classes]`."""
    states: Tensor | None = None
    """Teacher's first token after every layer, `[examples, layers, width]`."""

    def __call__(self, model: nn.Module, rows: Tensor) -> Tensor:
        """Loss of a model on a batch."""
        lesson, number = self.lesson, rows[:, -1]
        out = model(rows[:, :-1], states=lesson.beta > 0)
        hard = functional.cross_entropy(out.logits.float(), self.labels[number])
        if self.logits is None:
            return hard
        theirs = self.logits[number]
        if lesson.match == LOGITS:
            soft = logit_loss(out.logits, theirs)
        else:
            soft = MATCHES[lesson.match](out.logits, theirs, lesson.temperature)
        loss = mixed_loss(hard, soft, lesson.alpha)
        if not lesson.beta or self.states is None:
            return loss
        layers = patient_layers(out.states.shape[1], self.states.shape[1])
        learned = self.states[number][:, [layer - 1 for layer in layers]]
        return loss + lesson.beta * patient_loss(out.states[:, : len(layers)], learned)
