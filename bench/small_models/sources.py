"""The text that the small models are pre-trained on and the task that they are fine-tuned on, at each scale."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.measure.hub import hub_rows
from bench.measure.session import Session
from bench.small_models.settings import SmallModelsSettings
from models.data.tasks import NLI, Example, Task, article_of_origin, sst2
from models.data.text import Document, json_lines
from models.errors import InputError

C4_DOCUMENTS = 200_000
"""Documents read of C4's English part, about 80M tokens an epoch."""
QUICK = 200


def documents_and_task(session: Session, protocol: SmallModelsSettings) -> tuple[list[Document], Task]:
    """Embedded: the session's text and the article that a sentence begins in. GPU: SST-2 where `--data-dir` has it.

    Paper: C4 and GLUE's MNLI, mismatched, from the hub or from `c4.jsonl`, `mnli-train.jsonl` and
    `mnli-mismatched.jsonl` in `--data-dir`.

    Raises:
        InputError: what the scale needs is not there.
    """
    settings = session.settings
    if settings.scale.startswith("paper"):
        return _c4(settings.data_dir, QUICK if settings.effort == "quick" else C4_DOCUMENTS), _mnli(settings.data_dir)
    documents = session.documents
    if settings.scale == "gpu" and settings.data_dir is not None:
        task = sst2(settings.data_dir)
    else:
        classes = min(protocol.classes, len(documents))
        task = article_of_origin(documents, classes=classes, words=protocol.words, seed=settings.seed)
    return documents + session.more_documents, task


def _c4(folder: Path | None, count: int) -> list[Document]:
    if folder is None:
        rows: Iterable[Any] = hub_rows("allenai/c4", "en", "train", streaming=True)
    else:
        rows = _lines(folder / "c4.jsonl")
    return [Document("", row["text"]) for row in itertools.islice(rows, count)]


def _mnli(folder: Path | None) -> Task:
    if folder is None:
        splits = ("train", "validation_mismatched", "validation_matched")
        parts: list[Iterable[Any]] = [hub_rows("nyu-mll/glue", "mnli", split) for split in splits]
    else:
        parts = [_lines(folder / f"mnli-{name}.jsonl") for name in ("train", "mismatched")]
    train, test, *shifted = ([_pair(row) for row in part] for part in parts)
    return Task("MNLI, mismatched", NLI, train, test, shifted[0] if shifted else [])


def _pair(row: dict[str, Any]) -> Example:
    label = row["label"]
    if label not in range(len(NLI)) and label not in NLI:
        raise InputError(f"MNLI: label {label!r} is not one of {', '.join(NLI)} or 0 to 2")
    return f"mnli hypothesis: {row['hypothesis']} premise: {row['premise']}", label if label in NLI else NLI[label]


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise InputError(f"{path} does not exist; --data-dir must hold it, or leave the option for the hub")
    return [json.loads(line) for _, line in json_lines(path.read_text(encoding="utf-8"))]
