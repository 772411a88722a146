"""The verdict sheet of a checkpoint that the user brings: `pytest bench --dense A --compressed B`."""

from __future__ import annotations

import pytest

from bench.checkpoint.judge import CheckpointLab
from bench.checkpoint.protocols import PROTOCOLS, ratio
from bench.conftest import Conclude, once
from bench.measure.session import Lab
from bench.survey.lab import SurveyLab
from bench.verdict.regions import UNCHANGED, Region
from models.errors import InputError

PAPER_SCALE = "paper"
SHEET = {
    "CHECKPOINT-loses-nothing": Region(0.99, 1.01),
    "CHECKPOINT-nearly-unaffected": Region(high=1.1),
    "CHECKPOINT-stays-performant": Region(high=1.5),
}
"""The regions of SV12, SV1 and SV3, for perplexity over the dense model's."""


@pytest.fixture
def checkpoint(request: pytest.FixtureRequest, lab: Lab, survey: SurveyLab) -> CheckpointLab:
    """The checkpoint that `--compressed` names."""
    try:
        found = once(request, ("checkpoint", id(lab)), lambda: CheckpointLab(lab, survey))
        _ = found.judged
    except InputError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    return found


def _details(checkpoint: CheckpointLab) -> dict:
    judged = checkpoint.judged
    curve = {
        f"{a}-{b - 1}": float(value)
        for a, b, value in zip(judged.edges, judged.edges[1:], judged.by_position().mean(0), strict=False)
    }
    return {"checkpoint": {"columns": judged.columns(), "sizes": checkpoint.sizes, "kl_by_position": curve}}


@pytest.mark.checkpoint
@pytest.mark.claim("CHECKPOINT")
@pytest.mark.parametrize("row", SHEET)
def test_perplexity_of_the_checkpoint(checkpoint: CheckpointLab, conclude: Conclude, row: str) -> None:
    """Three degrees of what is asked of a compressed model."""
    found = checkpoint.judged.ratio()
    what = "perplexity over that of the dense model"
    conclude(row, what, found, SHEET[row], details=_details(checkpoint), origin=checkpoint.origin())


@pytest.mark.checkpoint
@pytest.mark.claim("CHECKPOINT")
@pytest.mark.parametrize("row", [f"CHECKPOINT-{name}-protocol" for name in PROTOCOLS])
def test_perplexity_under_a_protocol(checkpoint: CheckpointLab, conclude: Conclude, row: str) -> None:
    """What the papers' protocols make of the checkpoint, with an interval over their windows (SV1's region)."""
    protocol = PROTOCOLS[row.split("-")[1]]
    compressed, dense = checkpoint.under[protocol.name]
    if isinstance(compressed, str) or isinstance(dense, str):
        pytest.skip(compressed if isinstance(compressed, str) else str(dense))
    found = ratio(compressed, dense, protocol)
    units = {name: [getattr(score, name) for score in (compressed, dense)] for name in ("token", "word", "byte")}
    windows = {"documents": len(dense.losses), "tokens": int(dense.lengths.sum())}
    what = f"perplexity over the dense model's, {dense.token:.5g} a token"
    origin = checkpoint.origin() | windows | {"protocol": str(protocol)}
    conclude(row, what, found, SHEET["CHECKPOINT-nearly-unaffected"], details=units, origin=origin)


@pytest.mark.checkpoint
@pytest.mark.claim("CHECKPOINT")
@pytest.mark.parametrize("row", ["CHECKPOINT-same-at-any-context"])
def test_divergence_along_context(checkpoint: CheckpointLab, conclude: Conclude, row: str) -> None:
    """Whether KL stays what it is as a window goes on (LC1's claim, LC3's reverse; one pass, positions that double)."""
    judged = checkpoint.judged
    what = f"KL at positions from {judged.edges[-2]} over that below {judged.edges[1]}"
    conclude(row, what, judged.growth(), UNCHANGED, details=_details(checkpoint), origin=checkpoint.origin())
