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


def article_of_origin(documents: Sequence[Document], *, classes: int, seed: int, most: int = 400) -> Task:
    """Task of telling which of the longest articles a sentence stands in: a number from 0.

    Sentences of an article are shuffled; a fifth is scored. Articles have at most `most` sentences each, so that labels
    are about as common.

    Raises:
        TooLittleText: too few documents.
    """
    articles = sorted((sentences(document.text) for document in documents), key=len, reverse=True)[:classes]
    if len(articles) < classes or classes < 2:
        raise TooLittleText(f"{len(documents)} documents cannot give {classes} classes of at least two")
    generator = np.random.default_rng(seed)
    train: list[Example] = []
    test: list[Example] = []
    for number, article in enumerate(articles):
        chosen = [article[i] for i in generator.permutation(len(article))[:most]]
        fifth = max(1, len(chosen) // 5)
        test += [(sentence, str(number)) for sentence in chosen[:fifth]]
        train += [(sentence, str(number)) for sentence in chosen[fifth:]]
    return Task(f"article of origin among {classes}", tuple(map(str, range(classes))), train, test, [])


def sentence_order(documents: Sequence[Document], *, shifted_documents: int, seed: int) -> Task:
    """Task of telling if two neighbouring sentences are in order; other articles are the other distribution.

    Raises:
        InputError: no document is left to learn from.
    """
    if not 0 <= shifted_documents < len(documents):
        raise InputError(
            f"{shifted_documents} of {len(documents)} documents would be kept away; leave some to learn from"
        )
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(documents))
    away = set(order[:shifted_documents].tolist())
    near: list[Example] = []
    far: list[Example] = []
    for number, document in enumerate(documents):
        parts = sentences(document.text)
        for first, second in zip(parts[::2], parts[1::2], strict=False):
            swapped = bool(generator.integers(2))
            pair = (second, first) if swapped else (first, second)
            # The ends that meet are what tells, so they must survive the cut to the input's length.
            text = f"{_words(pair[0])} | {_words(pair[1])}"
            (far if number in away else near).append((text, "no" if swapped else "yes"))
    mixed = [near[i] for i in generator.permutation(len(near))]
    fifth = len(mixed) // 5
    return Task("sentence order", ("yes", "no"), mixed[fifth:], mixed[:fifth], far)


def _words(sentence: str, count: int = 8) -> str:
    return " ".join(sentence.split()[:count])


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


def counterfactual_nli(folder: Path) -> Task:
    """Natural-language inference from the SNLI part with counterfactual revisions (Kaushik et al. 2020).

    The files hold each premise and hypothesis with its revisions beside it: the first pair of five is the original, and
    the revisions, which change the answer by few words, are the other distribution.
    """

    def read(name: str) -> tuple[list[Example], list[Example]]:
        rows = _rows(folder / name, "sentence1", "sentence2", "gold_label")
        examples = [
            (f"hypothesis: {row['sentence2']} premise: {row['sentence1']}", _label(NLI, row["gold_label"], name))
            for row in rows
        ]
        return examples[::5], [example for i, example in enumerate(examples) if i % 5]

    (train, _), (test, shifted) = read("snli-cad-train.tsv"), read("snli-cad-dev.tsv")
    return Task("NLI", NLI, train, test, shifted)


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
    return rows


def arithmetic(*, train: int, test: int, terms: int, largest: int, seed: int) -> tuple[Task, list[str]]:
    """Sums modulo ten, and the rationale of each training example: its partial sums.

    The other distribution has one term more. No sum is in two parts.
    """
    generator = np.random.default_rng(seed)
    seen: set[tuple[int, ...]] = set()

    def draw(count: int, terms: int) -> list[tuple[int, ...]]:
        sums: list[tuple[int, ...]] = []
        if (largest + 1) ** terms < 2 * (count + len(seen)):
            raise InputError(f"{count} different sums of {terms} numbers up to {largest} do not exist; ask for fewer")
        while len(sums) < count:
            numbers = tuple(generator.integers(0, largest + 1, terms).tolist())
            if numbers not in seen:
                seen.add(numbers)
                sums.append(numbers)
        return sums

    def example(numbers: tuple[int, ...]) -> Example:
        return " + ".join(map(str, numbers)), str(sum(numbers) % 10)

    drawn = draw(train, terms)
    rationales = [" ".join(str(total % 10) for total in np.cumsum(numbers)[1:]) for numbers in drawn]
    task = Task(
        f"sum of {terms} modulo ten",
        tuple(map(str, range(10))),
        [example(numbers) for numbers in drawn],
        [example(numbers) for numbers in draw(test, terms)],
        [example(numbers) for numbers in draw(test, terms + 1)],
    )
    return task, rationales


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
