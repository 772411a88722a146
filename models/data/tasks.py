"""Tasks in text-to-text form: what is read, what is to be written, and texts of another kind to test on."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.data.text import Document
from models.errors import InputError, TooLittleText

Example = tuple[str, str]
"""Text that is read, and text that is to be written."""
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")
SHORTEST_SENTENCE = 25
"""Characters; shorter ones are headings and initials."""


@dataclass(frozen=True)
class Task:
    """Examples to learn from and to score, and the answers that exist."""

    name: str
    labels: tuple[str, ...]
    """Answers that exist; empty where any text may be one."""
    train: list[Example]
    test: list[Example]
    shifted: list[Example]
    """Scored too: texts of another distribution. May be empty."""

    def __post_init__(self) -> None:
        for source, target in (*self.train, *self.test, *self.shifted):
            if not source.strip():
                raise InputError(f"{self.name}: an example has nothing to read (its answer is {target!r})")
            if self.labels and target not in self.labels:
                raise InputError(f"{self.name}: label {target!r} is not one of {', '.join(self.labels)}")
        if not self.train or not self.test:
            raise InputError(f"{self.name}: {len(self.train)} examples to learn from and {len(self.test)} to score")

    @property
    def floor(self) -> float:
        """The accuracy of always giving the commonest answer."""
        counts = Counter(target for _, target in self.test)
        return max(counts.values()) / len(self.test)


def sentences(text: str) -> list[str]:
    """A text's sentences, without headings and fragments."""
    parts = (" ".join(part.split()) for part in SENTENCE_END.split(text))
    return [part for part in parts if len(part) >= SHORTEST_SENTENCE]


def article_of_origin(documents: Sequence[Document], *, classes: int, words: int, seed: int, most: int = 400) -> Task:
    """Task of telling which of the longest articles the beginning of a sentence stands in: a number from 0.

    Sentences of an article are shuffled; a fifth is scored. Articles have at most `most` sentences each, so that labels
    are about as common. The other distribution is what follows in the sentences that are scored, where as much does.

    Args:
        documents: the articles.
        classes: how many are told apart.
        words: of a sentence that are read, at the most.
        seed: of the shuffling.
        most: sentences of an article.

    Raises:
        TooLittleText: too few documents.
    """
    articles = sorted((sentences(document.text) for document in documents), key=len, reverse=True)[:classes]
    if len(articles) < classes or classes < 2:
        raise TooLittleText(f"{len(documents)} documents cannot give {classes} classes of at least two")
    generator = np.random.default_rng(seed)
    train: list[Example] = []
    test: list[Example] = []
    shifted: list[Example] = []
    for number, article in enumerate(articles):
        chosen = [article[i] for i in generator.permutation(len(article))[:most]]
        fifth = max(1, len(chosen) // 5)
        split = [sentence.split() for sentence in chosen]
        test += [(" ".join(sentence[:words]), str(number)) for sentence in split[:fifth]]
        train += [(" ".join(sentence[:words]), str(number)) for sentence in split[fifth:]]
        later = [sentence[words : 2 * words] for sentence in split[:fifth]]
        shifted += [(" ".join(sentence), str(number)) for sentence in later if len(sentence) == words]
    return Task(f"article of origin among {classes}", tuple(map(str, range(classes))), train, test, shifted)


def sst2(folder: Path) -> Task:
    """SST-2 from `sst2.train.tsv` and `sst2.dev.tsv`: a column label, and GLUE's own sentence or content.

    Raises:
        InputError: a file is not there, lacks a column, or has another label than 0 and 1.
    """
    names = {"0": "negative", "1": "positive"}

    def read(name: str) -> list[Example]:
        rows = _rows(folder / name, "label")
        text = next((column for column in ("sentence", "content") if column in rows[0]), None)
        if text is None:
            raise InputError(f"{folder / name} has no column sentence (GLUE's name) or content; give it one")
        return [(row[text], _label(names, row["label"], name)) for row in rows]

    return Task("SST-2", tuple(names.values()), read("sst2.train.tsv"), read("sst2.dev.tsv"), [])


NLI = ("entailment", "neutral", "contradiction")
"""Answers of natural-language inference, as GLUE numbers them."""


def _label(names: dict[str, str] | tuple[str, ...], label: str, place: str) -> str:
    if label not in names:
        raise InputError(f"{place}: label {label!r} is not one of {', '.join(names)}")
    return names[label] if isinstance(names, dict) else label


def _rows(path: Path, *columns: str) -> list[dict[str, str]]:
    if not path.is_file():
        raise InputError(f"{path} does not exist; give the folder that holds it with --data-dir")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    missing = [column for column in columns if not rows or column not in rows[0]]
    if missing:
        raise InputError(f"{path} has no rows with the column {', '.join(missing)}; give a file that has")
    if any(None in row.values() for row in rows):
        raise InputError(f"{path} has rows of fewer columns than its first line; mend or delete them")
    return rows


def arithmetic(*, train: int, test: int, terms: int, largest: int, seed: int) -> tuple[Task, list[str]]:
    """Sums, and the rationale of each training example: its partial sums. No sum is in two parts.

    Raises:
        InputError: so many different sums do not exist.
    """
    if (largest + 1) ** terms < 2 * (train + test):
        raise InputError(
            f"{train + test} different sums of {terms} numbers up to {largest} do not exist, or take long to find; ask "
            "for fewer"
        )
    generator = np.random.default_rng(seed)
    drawn: dict[tuple[int, ...], None] = {}
    while len(drawn) < train + test:
        drawn[tuple(generator.integers(0, largest + 1, terms).tolist())] = None
    sums = list(drawn)
    examples = [(" + ".join(map(str, numbers)), str(sum(numbers))) for numbers in sums]
    rationales = [" ".join(map(str, np.cumsum(numbers)[1:])) for numbers in sums[:train]]
    answers = tuple(map(str, range(terms * largest + 1)))
    return Task(f"sum of {terms}", answers, examples[:train], examples[train:], []), rationales


def with_rationales(task: Task, rationales: Sequence[str]) -> list[Example]:
    """Examples of both tasks of distilling step by step (Hsieh et al. 2023, §3.2): a prefix says which is asked.

    Raises:
        ValueError: other numbers of examples and rationales.
    """
    if len(rationales) != len(task.train):
        raise ValueError(f"{len(rationales)} rationales for {len(task.train)} examples; give one each")
    labels = [(f"[label] {source}", target) for source, target in task.train]
    reasons = [
        (f"[rationale] {source}", rationale) for (source, _), rationale in zip(task.train, rationales, strict=True)
    ]
    return [example for pair in zip(labels, reasons, strict=True) for example in pair]
