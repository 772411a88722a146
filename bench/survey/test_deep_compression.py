"""A Brief Survey of Model Compression in Language Models: Deep Compression, SV13.

Pruned by magnitude, with shared values, and Huffman-coded; everything is counted, tables and gaps too. The paper's
rates are of vision nets that were retrained between the steps; here nothing is, which is part a.
"""

from __future__ import annotations

import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.lab import Survey
from bench.survey.rates import KEPT, largest_rate, rate_of
from bench.survey.rows import COSTS, DENSE, settle
from bench.verdict.conclude import exactly
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from compress.coding import DeepCompression

PAPER_SCALE = "paper-opt"
pytestmark = COSTS
PAPERS_LEAST = Region(low=35.0)
WHY_LEAST = "Deep Compression's smallest rate, AlexNet's"
CURVE = [DeepCompression(sparsity, bits) for sparsity in (0.0, 0.1, 0.3) for bits in (5, 6, 8)]
PAPERS_OWN = DeepCompression(0.9, 5)
"""About what the paper leaves of AlexNet's fully connected layers."""


LARGEST = Row(
    "SV13-largest-rate",
    "SV13a",
    "largest rate against 32 bits a weight with perplexity within 5 % of the dense model's, of the curve's",
    PAPERS_LEAST,
    WHY_LEAST,
    tuple(CURVE),
)


@pytest.mark.parametrize("row", parameters(LARGEST))
def test_largest_rate_at_which_quality_is_kept(survey: Survey, conclude: Conclude, row: Row) -> None:
    """Over a curve of sparsities and bits, none of them retrained."""
    curve = [survey.measure(method) for method in CURVE]
    interval = largest_rate({rate_of(scored): scored.against_dense() for scored in curve})
    best = min(curve, key=lambda scored: abs(rate_of(scored) - interval.value))
    settle(conclude, survey, row, interval, best, decide="more documents")


def at_setting(method: DeepCompression, what: str, statistic: str, accept: Region, because: str) -> Row:
    """Control on one setting of the curve."""
    return Row(f"SV13-{what}-{method.sparsity:g}", "SV13a", statistic, accept, because, (method,), control=True)


SETTINGS = (PAPERS_OWN, DeepCompression(0.3, 5))
QUALITY = [at_setting(method, "quality", DENSE, KEPT, "quality is kept: within 5 %") for method in SETTINGS]
SIZE = [
    at_setting(method, "size", "times smaller than 32 bits a weight", PAPERS_LEAST, WHY_LEAST) for method in SETTINGS
]


@pytest.mark.parametrize("row", parameters(*QUALITY, *SIZE))
def test_quality_and_size_of_one_setting(survey: Survey, conclude: Conclude, row: Row) -> None:
    """The paper's own setting and a mild one: neither keeps quality at the paper's rate without retraining."""
    scored = survey.measure(row.contestants[0])  # pyright: ignore[reportArgumentType]
    interval = scored.against_dense() if row in QUALITY else exactly(rate_of(scored))
    settle(conclude, survey, row, interval, scored)
