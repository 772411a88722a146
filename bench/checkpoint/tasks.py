"""Tasks of lm-evaluation-harness on one model, with the score of every example, so that two models can be paired."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from bench.measure.harness import can_read
from bench.verdict.documents import Array
from models.errors import InputError
from models.first_token import as_given
from models.load import Decoder

PREFERRED = ("acc", "exact_match", "acc_norm", "f1")
"""Metrics that are a mean over examples, the first that a task has; else its own first one."""


def task_scores(
    decoder: Decoder, names: Sequence[str], *, folder: Path | None, limit: int | None, batch: int = 8
) -> dict[str, Array]:
    """Score of every example by task, `[examples]`, between 0 and 1.

    Args:
        decoder: whose answers are scored.
        names: of the harness's tasks.
        folder: with `NAME.jsonl` of a task's examples, for machines without a hub; the others come from the hub.
        limit: examples of a task, from its first; None for all.
        batch: sequences that go through the model at once.

    Raises:
        InputError: no such task, no data for it, or a task without a score by example.
    """
    from lm_eval import evaluator  # noqa: PLC0415 - takes seconds to import and few need it
    from lm_eval.models.huggingface import HFLM  # noqa: PLC0415
    from lm_eval.tasks import TaskManager  # noqa: PLC0415

    if not can_read(decoder.tokenizer):
        raise InputError(
            f"lm-eval starts texts from a BOS or EOS token, and {decoder.name} has neither; leave --tasks out"
        )
    manager: Any = TaskManager()
    _check_names(names, manager.all_tasks)
    wrapper: Any = HFLM  # its parameters are hidden from type checkers by a decorator
    model = wrapper(pretrained=decoder.model, tokenizer=decoder.tokenizer, batch_size=batch)
    options: dict[str, Any] = {"limit": limit, "bootstrap_iters": 0, "log_samples": True}
    try:
        # The harness says itself where a text begins.
        with tempfile.TemporaryDirectory() as place, as_given(decoder.model):
            tasks: list[Any] = [_task(name, manager.task_index, folder, Path(place)) for name in names]
            found: Any = evaluator.simple_evaluate(model=model, tasks=tasks, task_manager=manager, **options)
    except (OSError, ValueError, KeyError, ConnectionError) as error:
        where = f"put NAME.jsonl of each task into --data-dir={folder}" if folder else "give --data-dir with NAME.jsonl"
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"the data of {', '.join(names)} cannot be had ({first}); {where}") from error
    return {name: _scores(name, found["samples"]) for name in names}


def _check_names(names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            near = ", ".join(get_close_matches(name, known)) or "none like it"
            raise InputError(f"--tasks names {name!r}, which lm-evaluation-harness does not have; the nearest: {near}")


def _task(name: str, index: Any, folder: Path | None, place: Path) -> str:
    """Task by its name, or by a file that takes its examples from `folder` and all else from the harness's own."""
    path = folder and folder / f"{name}.jsonl"
    if path is None or not path.is_file():
        return name
    files = dict.fromkeys(("train", "validation", "test"), str(path.absolute()))
    changed = {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
    written = place / f"{name}.yaml"  # JSON is YAML
    written.write_text(json.dumps({"include": str(index[name].yaml_path), "task": name, **changed}), encoding="utf-8")
    return str(written)


def _scores(name: str, samples: dict[str, list[dict[str, Any]]]) -> Array:
    own = samples.get(name)
    if not own:
        raise InputError(f"--tasks names {name!r}, a group that scores no example by itself; name its tasks one by one")
    metric = next((metric for metric in (*PREFERRED, *own[0].get("metrics", ())) if metric in own[0]), None)
    scores = [sample.get(metric or "") for sample in own]
    if metric is None or not all(isinstance(score, bool | int | float) for score in scores):
        raise InputError(f"--tasks names {name!r}, which gives no number for each example; choose one that does")
    return np.array(scores, dtype=np.float64)
