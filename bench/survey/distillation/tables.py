"""A classification task as rows of tokens: what is learned from, held out, and scored on two distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bench.survey.distillation.settings import DistillationSettings
from models.data.augmented import augmented
from models.data.tasks import Example, Task
from models.encoders import MASK, PAD, tokenize
from models.errors import InputError


class Part(NamedTuple):
    """Texts with their labels."""

    tokens: Tensor
    """`[texts, length]`, padded."""
    labels: Tensor
    """`[texts]`, each the label's place among the task's."""


@dataclass(frozen=True)
class Tables:
    """A task's texts, none of which is in two parts."""

    train: Part
    augmented: Part
    """Copies of the training texts with tokens masked or left out, under the labels of their texts."""
    held_out: Part
    test: Part
    shifted: Part

    def rows(self, *, more: bool = False) -> Tensor:
        """Rows to learn from, `[texts, length + 1]`: tokens and the text's number; with `more` augmented ones too."""
        tokens = torch.cat([self.train.tokens, self.augmented.tokens]) if more else self.train.tokens
        return torch.cat([tokens, torch.arange(len(tokens))[:, None]], 1)

    @property
    def labels(self) -> Tensor:
        """Label of every text, by the numbers that rows end in."""
        return torch.cat([self.train.labels, self.augmented.labels])


def tables_of(task: Task, settings: DistillationSettings, seed: int) -> Tables:
    """Tables of a task.

    Args:
        task: its last training examples are held out.
        settings: how many examples, and how much of each is read.
        seed: of the augmented copies.

    Raises:
        InputError: nothing is left to learn from.
    """
    known = task.train[: settings.most]
    count = len(known) - settings.held_out
    if count < 1:
        raise InputError(
            f"{task.name} has {len(known):,} examples to learn from and {settings.held_out:,} are to be held out; "
            "give more"
        )
    train, held_out = (_part(task, part, settings.length) for part in (known[:count], known[count:]))
    copies = augmented(train.tokens, copies=settings.copies, mask=MASK, pad=PAD, seed=seed)
    return Tables(
        train,
        Part(copies, train.labels.repeat(settings.copies)),
        held_out,
        _part(task, task.test, settings.length),
        _part(task, task.shifted, settings.long_length),
    )


def _part(task: Task, examples: Sequence[Example], length: int) -> Part:
    places = torch.tensor([task.labels.index(label) for _, label in examples])
    return Part(tokenize([text for text, _ in examples], length), places)
