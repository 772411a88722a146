"""A Brief Survey of Model Compression in Language Models: the three metrics of its experiment, SV2.

The sentence is that bits per byte is no simple rescaling of byte perplexity by ln 2. Bits per byte is the binary
logarithm of byte perplexity, so their quotient differs from model to model; it is log2(x) / x, at most
1 / (e ln 2) = 0.531 for any model, and so never ln 2 = 0.693.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.lab import Survey
from bench.survey.rows import COSTS, GROUPS
from bench.verdict.conclude import by_arithmetic, exactly
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from compress.quantization.gptq import GPTQ

PAPER_SCALE = "paper-opt"
pytestmark = COSTS
Figures = dict[str, float]
ROUNDING, SEEN = 1e-6, 1e-4
"""Differences that are of floating-point arithmetic at most, and relative ones that are clearly none of it."""
COMPRESSED = GPTQ(4, GROUPS)


def spread_of_quotients(figures: Sequence[Figures]) -> float:
    """Largest over smallest quotient of bits per byte and byte perplexity, of several models."""
    quotients = [each["bits_per_byte"] / each["byte_perplexity"] for each in figures]
    return max(quotients) / min(quotients)


def distance_from_logarithm(figures: Sequence[Figures]) -> float:
    """Largest difference of bits per byte from the binary logarithm of byte perplexity."""
    return max(abs(each["bits_per_byte"] - math.log2(each["byte_perplexity"])) for each in figures)


def difference_of_exponents(figures: Sequence[Figures]) -> float:
    """Difference between two models' ln(word perplexity) / ln(byte perplexity), the bytes of a word."""
    first, second = (math.log(each["word_perplexity"]) / math.log(each["byte_perplexity"]) for each in figures)
    return abs(first - second)


def identity(name: str, statistic: str) -> Row:
    """Control that holds for every model on one text."""
    return Row(name, "SV2a", statistic, Region(high=ROUNDING), "by arithmetic none", (COMPRESSED,), control=True)


QUOTIENTS = Row(
    "SV2-quotient-differs",
    "SV2a",
    "bits per byte over byte perplexity, of one model over another",
    Region(low=1 + SEEN),
    "a rescaling has one factor for all models",
    (COMPRESSED,),
)
BITS_PER_BYTE = identity("SV2-bits-per-byte", "largest difference of bits per byte from log2(byte perplexity)")
WORD_FROM_BYTE = identity("SV2-word-from-byte", "difference of ln(word) / ln(byte perplexity) between two models")
STATISTICS = {
    QUOTIENTS: spread_of_quotients,
    BITS_PER_BYTE: distance_from_logarithm,
    WORD_FROM_BYTE: difference_of_exponents,
}


@pytest.mark.cost(shared="dense, read by lm-evaluation-harness", embedded=(1, 10, 120), gpu=(10, 15, 60))
@pytest.mark.parametrize("row", parameters(*STATISTICS))
def test_what_the_three_metrics_have_to_do_with_each_other(survey: Survey, conclude: Conclude, row: Row) -> None:
    """lm-evaluation-harness's own figures of the dense and a compressed model."""
    if survey.session.store.write is not None and not survey.has_harness:
        pytest.skip("lm-evaluation-harness starts every page from a BOS or EOS token and this tokenizer has neither")
    figures = [survey.dense_harness(), survey.measure(COMPRESSED).harness]
    scale = survey.session.settings.scale
    origin = by_arithmetic("perplexities", scale=scale, protocol="lm-evaluation-harness, task wikitext")
    conclude(row, exactly(STATISTICS[row](figures)), origin, details={"harness": figures})
