"""A Brief Survey of Model Compression in Language Models: quality at equal footprint, SV20.

"One technique may outperform another at one memory footprint and fall behind at a different footprint" (Discussion and
Analysis); no standard comparison says which. Here each family of methods is measured at six to ten sizes of one model,
against the bytes of a file that holds everything: embeddings, scales, zero points, masks, tables, names.
"""

from __future__ import annotations

import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.footprint.families import FAMILIES
from bench.survey.footprint.lab import Footprint
from bench.verdict.documents import Interval
from bench.verdict.footprints import USABLE, advantage, clearest_crossing, footprints_of
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from compress.coding import DeepCompression
from compress.method import Method
from compress.pruning.sparsegpt import SparseGPT
from compress.quantization.awq import AWQ
from compress.quantization.gptq import GPTQ

PAPER_SCALE = "paper-opt"
pytestmark = [
    pytest.mark.cost(fixture="footprint", embedded=(1, 6, 12), gpu=(1, 2, 4)),
    pytest.mark.cost(of=GPTQ, embedded=(0.4, 78, 700), gpu=(10, 55, 60)),
    pytest.mark.cost(of=(SparseGPT, AWQ), embedded=(0.4, 60, 450), gpu=(8, 15, 20)),
    pytest.mark.cost(of=DeepCompression, embedded=(0.4, 60, 90), gpu=(30, 40, 40)),
    pytest.mark.cost(of=Method, embedded=(0.4, 27, 80), gpu=(3, 5, 8)),
]
CLEARLY = Region(low=1.01)
WHY = "better by a percent of perplexity at either footprint: under that, nothing counts as lost (SV12)"
ALL = tuple(method for family in FAMILIES for method in family.methods)
CROSS = Row(
    "SV20-families-cross",
    "SV20a",
    "perplexity of one family over another's at a footprint where the second is better, and the other way round at a "
    f"larger one; the lesser of the two, the better one within {USABLE:g} times the dense model's perplexity",
    CLEARLY,
    WHY,
    ALL,
)


@pytest.mark.parametrize("row", parameters(CROSS))
def test_footprint_decides_which_family_is_better(footprint: Footprint, conclude: Conclude, row: Row) -> None:
    """The pair of families and footprints is chosen on half of the documents, and judged on the other half."""
    chosen, judged = footprint.halves
    curves, refused = footprint.curves(chosen)
    crossing, details = None, {"refused": refused}
    doubt = footprint.doubt()
    if len(curves) > 1 and len(judged) > 1:
        on = {name: curve.over(chosen) for name, curve in curves.items()}
        crossing = clearest_crossing(on, footprints_of(list(on.values())))
    if crossing is None:
        conclude(row, Interval(1.0, 1.0, 1.0), footprint, doubt=doubt or _why_none(refused), details=details)
        return
    details |= {"crossing": vars(crossing)}
    interval = advantage({name: curve.over(judged) for name, curve in curves.items()}, crossing)
    conclude(row, interval, footprint, doubt=doubt, details=details)


def _why_none(refused: dict[str, str]) -> str:
    why = "; ".join(f"{family}: {reason}" for family, reason in refused.items())
    return f"no two families are usable at one footprint, so none can be compared{f' ({why})' if why else ''}"
