"""Perplexity of checkpoints under the papers' protocols, where `--protocols` asks for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.checkpoint.judge import Checkpoint
from bench.checkpoint.protocols import PROTOCOLS, ratio
from bench.checkpoint.refused import refuse
from bench.checkpoint.thresholds import Thresholds
from bench.fixtures import Conclude
from bench.verdict.claims import CHECKPOINT
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from models.errors import InputError

PAPER_SCALE = "paper"


def rows_of(config: pytest.Config, label: str) -> list[Row]:
    """Rows of one checkpoint: one a protocol, held to the same ratio."""
    if not config.getoption("protocols"):
        return []
    accept = Region(high=Thresholds.of(config).max_ratio)
    statistic = "perplexity over that of the dense model, by protocol"
    return [
        Row(f"{CHECKPOINT}-{label}-{name}-protocol", CHECKPOINT, statistic, accept, "--max-ratio", (label, name))
        for name in PROTOCOLS
    ]


@pytest.mark.checkpoint
def test_protocols(request: pytest.FixtureRequest, checkpoint: Checkpoint, conclude: Conclude, row: Row) -> None:
    """Perplexity under one protocol, with an interval over its windows."""
    label, name = map(str, row.contestants)
    try:
        compressed, dense = checkpoint.under[name], checkpoint.dense.under[name]
    except InputError as error:
        refuse(request.node, row, checkpoint, str(error), fails=False)
    if isinstance(compressed, str) or isinstance(dense, str):
        refuse(request.node, row, checkpoint, str(compressed if isinstance(compressed, str) else dense), fails=False)
    units = {unit: [getattr(score, unit) for score in (compressed, dense)] for unit in ("token", "word", "byte")}
    protocol = PROTOCOLS[name]
    origin = replace(
        checkpoint.origin(), protocol=str(protocol), documents=len(dense.losses), tokens=int(dense.lengths.sum())
    )
    conclude(row, ratio(compressed, dense, protocol), origin, details=units, method=label)
