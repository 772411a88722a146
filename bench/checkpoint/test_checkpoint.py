"""The verdict sheet of a checkpoint that the user brings: `pytest bench --dense A --compressed B`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.checkpoint.judge import Checkpoint
from bench.checkpoint.protocols import PROTOCOLS, ratio
from bench.fixtures import Conclude
from bench.measure.rounding import Rounding
from bench.parameters import parameters
from bench.verdict.regions import UNCHANGED, Region
from bench.verdict.rows import Row

PAPER_SCALE = "paper"
NEARLY_UNAFFECTED = Region(high=1.1)
DENSE = "perplexity over that of the dense model"
SHEET = [
    Row("CHECKPOINT-loses-nothing", "CHECKPOINT", DENSE, Region(0.99, 1.01), "SV12's region"),
    Row("CHECKPOINT-nearly-unaffected", "CHECKPOINT", DENSE, NEARLY_UNAFFECTED, "SV1's region"),
    Row("CHECKPOINT-stays-performant", "CHECKPOINT", DENSE, Region(high=1.5), "SV3's region"),
]
UNDER = [
    Row(f"CHECKPOINT-{name}-protocol", "CHECKPOINT", DENSE, NEARLY_UNAFFECTED, "SV1's region", (name,))
    for name in PROTOCOLS
]
ALONG = Row(
    "CHECKPOINT-same-at-any-context",
    "CHECKPOINT",
    "KL late in the window over KL at its beginning",
    UNCHANGED,
    "LC1's region",
)


def _details(checkpoint: Checkpoint) -> dict:
    judged = checkpoint.judged()
    curve = {
        f"{a}-{b - 1}": float(value)
        for a, b, value in zip(judged.edges, judged.edges[1:], judged.by_position().mean(0), strict=False)
    }
    return {"checkpoint": {"columns": judged.columns(), "sizes": checkpoint.sizes, "kl_by_position": curve}}


@pytest.mark.checkpoint
@pytest.mark.parametrize("row", parameters(*SHEET))
def test_perplexity_of_the_checkpoint(checkpoint: Checkpoint, conclude: Conclude, row: Row) -> None:
    """Three degrees of what is asked of a compressed model."""
    conclude(row, checkpoint.judged().ratio(), checkpoint, details=_details(checkpoint))


@pytest.mark.checkpoint
@pytest.mark.parametrize("row", parameters(*UNDER))
def test_perplexity_under_a_protocol(checkpoint: Checkpoint, conclude: Conclude, row: Row) -> None:
    """Perplexity of the checkpoint under the papers' protocols, with an interval over their windows."""
    protocol = PROTOCOLS[str(row.contestants[0])]
    compressed, dense = checkpoint.under[protocol.name]
    if isinstance(compressed, str) or isinstance(dense, str):
        pytest.skip(compressed if isinstance(compressed, str) else str(dense))
    units = {name: [getattr(score, name) for score in (compressed, dense)] for name in ("token", "word", "byte")}
    origin = replace(
        checkpoint.origin(), protocol=str(protocol), documents=len(dense.losses), tokens=int(dense.lengths.sum())
    )
    conclude(row, ratio(compressed, dense, protocol), origin, details=units)


@pytest.mark.checkpoint
@pytest.mark.parametrize("row", parameters(ALONG))
def test_divergence_along_context(checkpoint: Checkpoint, conclude: Conclude, row: Row) -> None:
    """KL along a window: flat, as LC1 claims, or growing, as LC3 does (one pass, positions that double)."""
    judged = checkpoint.judged()
    doubt = "" if judged.identical else Rounding(checkpoint.session).doubt(judged.tokens["kl"].mean())
    conclude(row, judged.growth(), checkpoint, doubt=doubt, details=_details(checkpoint))
