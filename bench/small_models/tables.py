"""A task's examples as rows of tokens: what is learned from, what α and T are chosen on, and what is scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from bench.small_models.settings import SmallModelsSettings
from models.data.tasks import Example, Task
from models.text_to_text import Vocabulary, fitting_length, input_lengths, share_cut, table

TRAIN, HELD_OUT, TEST, SHIFTED = "train", "held-out", "test", "shifted"


@dataclass(frozen=True)
class Tables:
    """Rows by part, those that have examples, and how much of their inputs is read."""

    rows: dict[str, Tensor]
    length: int
    """Tokens that the encoder reads."""
    cut: dict[str, float]
    """Share of each part's inputs that are longer, and lose their end."""


def tables_of(task: Task, vocabulary: Vocabulary, settings: SmallModelsSettings, seed: int) -> Tables:
    """Tables of a task with room for its longest answer, at a length that 99 % of the training inputs fit.

    Args:
        task: its training examples are parted into those that are learned from and those that are held out.
        vocabulary: of the tokens.
        settings: have the most tokens that are read, and the examples held out.
        seed: of the parting.

    Raises:
        InputError: over a quarter of a part's inputs would be cut.
    """
    parts = {**_parted(task.train, settings.held_out, seed), TEST: task.test, SHIFTED: task.shifted}
    parts = {name: part for name, part in parts.items() if part}
    lengths = {name: input_lengths(part, vocabulary) for name, part in parts.items()}
    length = fitting_length(lengths[TRAIN], most=settings.input_length)
    answers = sorted({target for part in parts.values() for _, target in part})
    longest = max(map(len, vocabulary.tokens(answers))) + 1
    cut = {name: share_cut(own, length, of=f"{task.name} ({name})") for name, own in lengths.items()}
    return Tables({name: table(part, vocabulary, length, longest) for name, part in parts.items()}, length, cut)


def _parted(examples: list[Example], held_out: int, seed: int) -> dict[str, list[Example]]:
    """Examples to learn from, in their order, and those held out: so many, or a fifth where that is less."""
    away = set(np.random.default_rng(seed).permutation(len(examples))[: min(held_out, len(examples) // 5)].tolist())
    return {
        TRAIN: [example for number, example in enumerate(examples) if number not in away],
        HELD_OUT: [examples[number] for number in sorted(away)],
    }
