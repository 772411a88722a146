"""A Brief Survey of Model Compression in Language Models: one-shot methods, SV1–SV6, SV9, SV10, SV12, SV13, SV17.

Perplexity ratios are exp of the difference of mean losses over the same tokens of each document.
"""

from __future__ import annotations

import math

import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.lab import PERCENTILES, Scored, Survey
from bench.verdict.conclude import by_arithmetic, exactly
from bench.verdict.documents import Interval
from bench.verdict.regions import GROWS, Region
from bench.verdict.rows import Row
from compress.coding import DeepCompression
from compress.method import Method
from compress.pruning.magnitude import ComparisonGroup, MagnitudePruning
from compress.pruning.sparsegpt import SparseGPT
from compress.pruning.structured import StructuredPruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.awq import AWQ
from compress.quantization.float_grid import FP4, FP8_E4M3, FloatRounding
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerGroup
from compress.quantization.int8 import LLMInt8, SmoothQuant
from compress.quantization.mixed_precision import Protection
from compress.quantization.rounding import RoundToNearest

PAPER_SCALE = "paper-opt"
pytestmark = [
    pytest.mark.cost(fixture="survey", embedded=(1, 6, 12), gpu=(1, 2, 4)),
    pytest.mark.cost(of=GPTQ, embedded=(2, 36, 200), gpu=(10, 30, 60)),
    pytest.mark.cost(of=(SparseGPT, AWQ), embedded=(2, 25, 65), gpu=(8, 15, 20)),
    pytest.mark.cost(
        of=(WandaPruning, StructuredPruning, SmoothQuant, LLMInt8, DeepCompression),
        embedded=(1, 10, 30),
        gpu=(2, 6, 10),
    ),
    pytest.mark.cost(of=Method, embedded=(1, 6, 12), gpu=(1, 2, 4)),
]
"""Costs by what a method does with its calibration; GPTQ's variants are read by lm-evaluation-harness too."""
HALF, GROUPS = 0.5, PerGroup(128)
LAYER = MagnitudePruning(HALF)
ROWS = MagnitudePruning(HALF, ComparisonGroup.ROW)
MODEL = MagnitudePruning(HALF, ComparisonGroup.MODEL)
WANDA, SPARSEGPT = WandaPruning(HALF), SparseGPT(HALF)
DENSE = "perplexity over that of the dense model"
PERFORMANT, WHY_PERFORMANT = Region(high=1.5), "OPT-125M under SparseGPT at 50 %: 27.65 to 36.85, a ratio of 1.33"
NOTHING_LOST = Region(0.99, 1.01)
REACHES = Region(high=1.05)


def details_of(scored: Scored) -> dict:
    """Columns of a variant, for the page."""
    return {
        "survey": {
            "method": scored.method,
            "bits_per_weight": scored.bits_per_weight,
            "packed_bytes": scored.packed_bytes,
            "held_bytes": scored.held_bytes,
            "sparsity": scored.sparsity,
            "kl": float(scored.kl.mean()),
            "agreement": float(scored.agreement.mean()),
            "ratio": scored.against_dense().value,
            "percentiles": dict(zip(map(str, PERCENTILES), scored.percentiles, strict=True)),
            "noted": scored.noted,
            "seconds": scored.seconds,
            "harness": scored.harness,
        }
    }


def settle(conclude: Conclude, survey: Survey, row: Row, interval: Interval, of: Scored) -> None:
    """Conclude a row that stands on a variant, with its columns."""
    conclude(row, interval, survey, doubt=survey.doubt(of), details=details_of(of), method=of.method)


def alone(of: str, method: Method, accept: Region, because: str, *, ending: str = "", control: bool = False) -> Row:
    """Row on one variant against the dense model."""
    return Row(f"{of.rstrip('abcde')}-{method}{ending}", of, DENSE, accept, because, (method,), control=control)


WIDTHS = (
    ("SV1a", 8, Region(high=1.1), "nearly unaffected: within a tenth"),
    ("SV1b", 4, Region(high=1.1), "nearly unaffected: within a tenth"),
    ("SV1c", 3, Region(1.02, 2.0), "OPT-125M under GPTQ at 3 bits a row: a ratio of 1.95, and groups do better"),
    ("SV1d", 2, Region(low=5.0), "unusable: five times the perplexity"),
)
GPTQ_WIDTHS = [
    Row(f"SV1-gptq-w{bits}-{domain}", of, DENSE, accept, because, (GPTQ(bits, GROUPS), domain))
    for of, bits, accept, because in WIDTHS
    for domain in ("in-domain", "off-domain")
]


@pytest.mark.parametrize("row", parameters(*GPTQ_WIDTHS))
def test_gptq_at_fewer_bits(survey: Survey, conclude: Conclude, row: Row) -> None:
    """GPTQ in groups of 128, calibrated on text of the kind that is scored and on another."""
    method, domain = row.contestants
    away = domain == "off-domain"
    if away and not survey.off_domain and survey.session.store.write is not None:
        pytest.skip("calibration on text of another kind needs --train-text, such as a file of books")
    scored = survey.measure(method, off_domain=away)  # pyright: ignore[reportArgumentType]
    settle(conclude, survey, row, scored.against_dense(), scored)


BITS_PER_BYTE = Row(
    "SV2-bits-per-byte",
    "SV2a",
    "largest difference of bits per byte from log2(byte perplexity)",
    Region(low=1e-6),
    "not a rescaling would be a difference",
    (GPTQ(4, GROUPS),),
)
WORD_FROM_BYTE = Row(
    "SV2-word-from-byte",
    "SV2a",
    "difference of ln(word) / ln(byte perplexity) between two models",
    Region(low=1e-6),
    "not a rescaling would be a difference",
    (GPTQ(4, GROUPS),),
)


@pytest.mark.cost(shared="dense, read by lm-evaluation-harness", embedded=(1, 10, 120), gpu=(10, 15, 60))
@pytest.mark.parametrize("row", parameters(BITS_PER_BYTE, WORD_FROM_BYTE))
def test_three_metrics_are_one(survey: Survey, conclude: Conclude, row: Row) -> None:
    """lm-evaluation-harness's own figures of the dense and a compressed model against the arithmetic between them.

    "Not a rescaling" would hold if bits per byte were not the binary logarithm of byte perplexity. Word perplexity is
    byte perplexity to the power of bytes per word, the same power for every model on one text.
    """
    if survey.session.store.write is not None and not survey.has_harness:
        pytest.skip("lm-evaluation-harness starts every page from a BOS or EOS token and this tokenizer has neither")
    figures = [survey.dense_harness(), survey.measure(GPTQ(4, GROUPS)).harness]
    if row is BITS_PER_BYTE:
        off = max(abs(each["bits_per_byte"] - math.log2(each["byte_perplexity"])) for each in figures)
    else:
        powers = [math.log(each["word_perplexity"]) / math.log(each["byte_perplexity"]) for each in figures]
        off = abs(powers[0] - powers[1])
    scale = survey.session.settings.scale
    origin = by_arithmetic("perplexities", scale=scale, protocol="lm-evaluation-harness, task wikitext")
    conclude(row, exactly(off), origin, details={"harness": figures})


HALVED = [
    alone("SV3a", LAYER, Region(low=2.0), "OPT-125M: 27.65 to 193; a serious drop doubles it", ending="-drops"),
    alone("SV3d", WANDA, PERFORMANT, WHY_PERFORMANT, ending="-performant"),
    alone("SV3e", SPARSEGPT, PERFORMANT, WHY_PERFORMANT, ending="-performant"),
]
EIGHT_BITS = [
    alone("SV12a", LLMInt8(), NOTHING_LOST, "nothing lost: within 1 %"),
    alone("SV12a", LLMInt8(math.inf), NOTHING_LOST, "no outliers kept: a control", control=True),
    alone("SV12a", SmoothQuant(), NOTHING_LOST, "outliers smoothed: a control", control=True),
]
TWO_OF_FOUR = SparseGPT(HALF, (2, 4))
PATTERN = Row("SV5-2of4-quality", "SV5a", DENSE, PERFORMANT, WHY_PERFORMANT, (TWO_OF_FOUR,), control=True)
CODED = [DeepCompression(sparsity, 5) for sparsity in (0.9, 0.3)]
CODED_QUALITY = [
    Row(f"SV13-quality-{method.sparsity:g}", "SV13a", DENSE, REACHES, "quality is kept: within 5 %", (method,))
    for method in CODED
]


@pytest.mark.parametrize("row", parameters(*HALVED, *EIGHT_BITS, PATTERN, *CODED_QUALITY))
def test_perplexity_over_the_dense_model(survey: Survey, conclude: Conclude, row: Row) -> None:
    """Half the weights gone; eight bits with outliers kept wide; 2:4; pruned, quantized and coded."""
    scored = survey.measure(row.contestants[0])  # pyright: ignore[reportArgumentType]
    settle(conclude, survey, row, scored.against_dense(), scored)


SIZES = [
    Row(
        f"SV13-size-{method.sparsity:g}",
        "SV13a",
        "times smaller than 32 bits a weight",
        Region(low=35.0),
        "Deep Compression's smallest ratio, AlexNet's",
        (method,),
    )
    for method in CODED
]


@pytest.mark.parametrize("row", parameters(*SIZES))
def test_size_of_deep_compression(survey: Survey, conclude: Conclude, row: Row) -> None:
    """Size against 32 bits a weight with everything counted, without the retraining of the paper."""
    scored = survey.measure(row.contestants[0])  # pyright: ignore[reportArgumentType]
    settle(conclude, survey, row, exactly(32 / scored.bits_per_weight), scored)


def versus(
    of: str, ending: str, first: Method, second: Method, *, accept: Region = GROWS, control: bool = False
) -> Row:
    """Row on the perplexity of one variant over another's, on the same tokens."""
    because = "the second is better, however little" if accept is GROWS else "as good: at most 5 % worse"
    return Row(
        f"{of.rstrip('abcde')}-{ending}",
        of,
        f"perplexity of {first} over that of {second}",
        accept,
        because,
        (first, second),
        Scored.against,
        control,
    )


def by_divergence(of: str, ending: str, first: Method, second: Method) -> Row:
    """Control by KL, which is nearer to what GPTQ lessens than perplexity is."""
    return Row(
        f"{of.rstrip('abcde')}-{ending}",
        of,
        f"KL of {first} over that of {second}, geometric means",
        GROWS,
        "the second is better, however little",
        (first, second),
        Scored.divergence_against,
        control=True,
    )


VERSUS = [
    versus("SV3b", "magnitude-over-wanda", LAYER, WANDA),
    versus("SV3c", "magnitude-over-sparsegpt", LAYER, SPARSEGPT),
    versus("SV4a", "layer-over-row", LAYER, ROWS),
    versus("SV4a", "model-over-layer", MODEL, LAYER, control=True),
    versus("SV5a", "2of4-over-unstructured", TWO_OF_FOUR, SPARSEGPT, control=True),
    versus("SV6b", "structured-over-unstructured", StructuredPruning(0.2), WandaPruning(0.2)),
    versus("SV9a", "rtn-over-gptq-w4", RoundToNearest(4, GROUPS), GPTQ(4, GROUPS)),
    versus("SV9b", "rtn-over-gptq-w3", RoundToNearest(3, GROUPS), GPTQ(3, GROUPS)),
    by_divergence("SV9a", "kl-rtn-over-gptq-w4", RoundToNearest(4, GROUPS), GPTQ(4, GROUPS)),
    by_divergence("SV9b", "kl-rtn-over-gptq-w3", RoundToNearest(3, GROUPS), GPTQ(3, GROUPS)),
    versus(
        "SV10a",
        "awq-over-mixed-w3",
        AWQ(3, GROUPS),
        RoundToNearest(3, GROUPS, protect=Protection(0.02)),
        accept=REACHES,
    ),
    versus("SV10a", "rtn-over-awq-w3", RoundToNearest(3, GROUPS), AWQ(3, GROUPS), control=True),
    versus(
        "SV17a",
        "int4-over-fp4-a8",
        RoundToNearest(4, GROUPS, activation_bits=8),
        FloatRounding(FP4, GROUPS, FP8_E4M3),
    ),
    versus(
        "SV17a",
        "int4-symmetric-over-fp4",
        RoundToNearest(4, GROUPS, symmetric=True),
        FloatRounding(FP4, GROUPS),
    ),
    versus("SV17a", "int8-over-fp8", RoundToNearest(8, GROUPS), FloatRounding(FP8_E4M3, GROUPS)),
]


@pytest.mark.parametrize("row", parameters(*VERSUS))
def test_one_method_against_another(survey: Survey, conclude: Conclude, row: Row) -> None:
    """Perplexity of the first over that of the second, on the same tokens; or KL, where the row says so."""
    if row.measure is None:
        raise ValueError(f"{row} declares no statistic")
    first, second = (survey.measure(method) for method in row.contestants)  # pyright: ignore[reportArgumentType]
    settle(conclude, survey, row, row.measure(first, second), first)
