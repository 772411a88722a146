"""Tasks of lm-evaluation-harness on the dense model and a checkpoint, paired by example, where `--tasks` names some."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.checkpoint.judge import Checkpoint
from bench.checkpoint.refused import refuse
from bench.checkpoint.thresholds import would_decide
from bench.fixtures import Conclude
from bench.verdict.claims import CHECKPOINT
from bench.verdict.documents import mean
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from models.errors import InputError

PAPER_SCALE = "paper"
MAX_DROP = 0.01
STATISTIC = "score of the checkpoint less that of the dense model, share of examples"


def rows_of(config: pytest.Config, label: str) -> list[Row]:
    """Rows of one checkpoint: one a task."""
    asked, drop = config.getoption("tasks"), config.getoption("max_drop")
    accept = Region(low=-(MAX_DROP if drop is None else drop))
    because = "--max-drop" if drop is not None else "--max-drop, by default: 99 of 100 right answers are kept"
    names = [name.strip() for name in (asked or "").split(",") if name.strip()]
    return [
        Row(f"{CHECKPOINT}-{label}-{name}", CHECKPOINT, STATISTIC, accept, because, (label, name, *names))
        for name in names
    ]


@pytest.mark.checkpoint
def test_tasks(request: pytest.FixtureRequest, checkpoint: Checkpoint, conclude: Conclude, row: Row) -> None:
    """Difference of the scores of the same examples, with an interval over examples."""
    label, name, *names = map(str, row.contestants)
    try:
        own, dense = (scores[name] for scores in (checkpoint.on_tasks(names), checkpoint.reference.on_tasks(names)))
    except InputError as error:
        refuse(request.node, row, checkpoint, str(error), fails=name == names[0])
    interval = mean(own - dense)
    decide = would_decide(row, interval, len(own), of="examples")
    origin = replace(checkpoint.origin(), text=name, protocol=f"lm-evaluation-harness, {name}", documents=len(own))
    scores = {"dense": float(dense.mean()), "compressed": float(own.mean()), "examples": len(own)}
    conclude(row, interval, origin, decide=decide, details={"task": scores}, method=label)
