"""Checkpoints that the user brings, each against its thresholds: `pytest bench --dense A --compressed B1 B2 …`."""

from __future__ import annotations

import pytest

from bench.checkpoint.judge import Checkpoint
from bench.checkpoint.judged import RATIO
from bench.checkpoint.refused import refuse
from bench.checkpoint.thresholds import CHANGED_BLOCKS, rows_of, would_decide
from bench.fixtures import Conclude
from bench.verdict.conclude import exactly
from bench.verdict.documents import Interval
from bench.verdict.grades import bad_blocks
from bench.verdict.rows import Row
from models.errors import InputError

PAPER_SCALE = "paper"
__all__ = ("rows_of",)


@pytest.mark.checkpoint
def test_thresholds(request: pytest.FixtureRequest, checkpoint: Checkpoint, conclude: Conclude, row: Row) -> None:
    """The bound of the interval clears the threshold, fails it, or leaves it open."""
    label, measure = map(str, row.contestants)
    try:
        interval = _measured(checkpoint, measure)
    except InputError as error:
        refuse(request.node, row, checkpoint, str(error), fails=measure == RATIO)
    details = {"checkpoint": checkpoint.described()} if measure == RATIO else {}
    decide = would_decide(row, interval, checkpoint.origin().documents, ratio=measure == RATIO)
    conclude(row, interval, checkpoint, decide=decide, details=details, method=label)


def _measured(checkpoint: Checkpoint, measure: str) -> Interval:
    if measure != CHANGED_BLOCKS:
        return checkpoint.judged().measures()[measure]
    departures = checkpoint.departures()
    if departures is None:
        pytest.skip("its blocks do not match the dense model's one by one")
    return exactly(len(bad_blocks(departures)))
