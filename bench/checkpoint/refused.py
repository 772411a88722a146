"""Checkpoints that cannot be judged: the reason goes to their rows, and the run goes on with the others."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

import pytest

from bench.checkpoint.judge import Checkpoint
from bench.outcomes import EVIDENCE
from bench.verdict.conclude import not_run
from bench.verdict.rows import Row


def refuse(item: pytest.Item, row: Row, checkpoint: Checkpoint, reason: str, *, fails: bool) -> NoReturn:
    """Leave a row that was not run, and end its test.

    Args:
        item: the test.
        row: as declared; its first contestant is the checkpoint's label.
        checkpoint: what cannot be judged.
        reason: one sentence.
        fails: whether the test fails; of the rows of one checkpoint one does, so that the reason is said once.
    """
    settings = checkpoint.session.settings
    result = not_run(row, reason, settings.scale, settings.effort)
    details = {"checkpoint": {"path": checkpoint.path, "refused": reason}}
    item.stash[EVIDENCE] = [replace(result, method=str(row.contestants[0]), details=details)]
    if fails:
        raise pytest.fail.Exception(reason, pytrace=False) from None  # said once
    raise pytest.skip.Exception(reason) from None
