"""The survey at its own scale (`--scale=paper`): OPT-125M against the numbers that GPTQ and SparseGPT print.

Tolerances are two-sided, because too good a number usually means another protocol: rounding and versions for what is
deterministic, and the 3 % by which GPTQ's own authors saw OPT-125M differ between GPUs for what is calibrated.
"""

from __future__ import annotations

import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.paper import OPT
from bench.verdict.conclude import exactly
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from compress.method import Method
from compress.pruning.magnitude import MagnitudePruning
from compress.pruning.sparsegpt import SparseGPT
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerRow
from compress.quantization.rounding import RoundToNearest

PAPER_SCALE = "paper-opt"
pytestmark = pytest.mark.paper
DENSE, ROUNDED, CALIBRATED, TWO_DIGITS = 0.003, 0.005, 0.03, 0.04
"""Tolerances of a printed perplexity; the last where 1.3e3 is printed."""
PRINTED: tuple[tuple[str, str, Method | None, float, float], ...] = (
    # Frantar et al. 2023, table of OPT on WikiText-2, one asymmetric grid a row.
    ("INSTRUMENT-opt-dense", "INSTRUMENT", None, 27.65, DENSE),
    ("SV1-opt-gptq-w4", "SV1b", GPTQ(4, PerRow()), 31.12, CALIBRATED),
    ("SV1-opt-gptq-w3", "SV1c", GPTQ(3, PerRow()), 53.85, CALIBRATED),
    ("SV9-opt-rtn-w4", "SV9a", RoundToNearest(4, PerRow()), 37.28, ROUNDED),
    ("SV9-opt-rtn-w3", "SV9b", RoundToNearest(3, PerRow()), 1.3e3, TWO_DIGITS),
    # Frantar & Alistarh 2023, table of OPT at 50 %.
    ("SV3-opt-magnitude", "SV3a", MagnitudePruning(0.5), 193.0, ROUNDED),
    ("SV3-opt-sparsegpt", "SV3e", SparseGPT(0.5), 36.85, CALIBRATED),
)
ROWS = [
    Row(
        name,
        of,
        f"perplexity of {method or 'the dense model'} over the printed {printed:g}",
        Region(1 - tolerance, 1 + tolerance),
        "the printed number",
        (method, printed),
    )
    for name, of, method, printed, tolerance in PRINTED
]


@pytest.mark.parametrize("row", parameters(*ROWS))
def test_printed_perplexities(opt: OPT, conclude: Conclude, row: Row) -> None:
    """Perplexity over the printed one."""
    method, printed = row.contestants
    perplexity = opt.perplexity(method)  # pyright: ignore[reportArgumentType]
    conclude(row, exactly(perplexity / float(str(printed))), opt, details={"token": perplexity})
