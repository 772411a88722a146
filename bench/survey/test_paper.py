"""The survey at its own scale (`--scale=paper`): OPT-125M against the numbers that GPTQ and SparseGPT print.

Tolerances are two-sided, because too good a number usually means another protocol: rounding and versions for what is
deterministic, and the 3 % by which GPTQ's own authors saw OPT-125M differ between GPUs for what is calibrated.
"""

from __future__ import annotations

import pytest

from bench.conftest import Conclude
from bench.survey.paper import OPTLab
from bench.verdict.arithmetic import exactly
from bench.verdict.regions import Region
from compress.method import Method
from compress.pruning.magnitude import MagnitudePruning
from compress.pruning.sparsegpt import SparseGPT
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerRow
from compress.quantization.rounding import RoundToNearest

PAPER_SCALE = "paper-opt"
pytestmark = pytest.mark.paper
DENSE, ROUNDED, CALIBRATED, TWO_DIGITS = 0.003, 0.005, 0.03, 0.04
"""Of a printed perplexity; the last where 1.3e3 is printed."""
PRINTED: dict[str, tuple[Method | None, float, float]] = {
    # Frantar et al. 2023, table of OPT on WikiText-2, one asymmetric grid a row.
    "INSTRUMENT-opt-dense": (None, 27.65, DENSE),
    "SV1-opt-gptq-w4": (GPTQ(4, PerRow()), 31.12, CALIBRATED),
    "SV1-opt-gptq-w3": (GPTQ(3, PerRow()), 53.85, CALIBRATED),
    "SV9-opt-rtn-w4": (RoundToNearest(4, PerRow()), 37.28, ROUNDED),
    "SV9-opt-rtn-w3": (RoundToNearest(3, PerRow()), 1.3e3, TWO_DIGITS),
    # Frantar & Alistarh 2023, table of OPT at 50 %.
    "SV3-opt-magnitude": (MagnitudePruning(0.5), 193.0, ROUNDED),
    "SV3-opt-sparsegpt": (SparseGPT(0.5), 36.85, CALIBRATED),
}


@pytest.mark.parametrize("row", [pytest.param(row, marks=pytest.mark.claim(row.partition("-")[0])) for row in PRINTED])
def test_printed_perplexities(opt: OPTLab, conclude: Conclude, row: str) -> None:
    """Perplexity over the printed one."""
    method, printed, tolerance = PRINTED[row]
    found = opt.perplexity(method)
    what = f"perplexity of {method or 'the dense model'} over the printed {printed:g}"
    accept = Region(1 - tolerance, 1 + tolerance)
    conclude(row, what, exactly(found / printed), accept, details={"token": found}, origin=opt.origin())
