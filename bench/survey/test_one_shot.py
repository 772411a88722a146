"""A Brief Survey of Model Compression in Language Models: one-shot methods, SV1–SV6, SV9, SV10, SV12, SV13, SV17.

Perplexity ratios are exp of the difference of mean losses over the same tokens of each document.
"""

from __future__ import annotations

import math

import pytest

from bench.conftest import Conclude
from bench.survey.lab import PERCENTILES, Scored, SurveyLab
from bench.verdict.arithmetic import by_arithmetic, exactly
from bench.verdict.documents import Interval
from bench.verdict.regions import GROWS, Region
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
HALF, GROUPS = 0.5, PerGroup(128)
LAYER = MagnitudePruning(HALF)
ROW = MagnitudePruning(HALF, ComparisonGroup.ROW)
MODEL = MagnitudePruning(HALF, ComparisonGroup.MODEL)
WANDA, SPARSEGPT = WandaPruning(HALF), SparseGPT(HALF)
DROPS = Region(low=2.0)
"""A serious drop: perplexity doubles or worse (OPT-125M: 27.65 to 193)."""
PERFORMANT = Region(high=1.5)
"""OPT-125M under SparseGPT at 50 %: 27.65 to 36.85, a ratio of 1.33."""
UNAFFECTED = Region(high=1.1)
DEGRADED = Region(1.02, 2.0)
"""OPT-125M under GPTQ at 3 bits a row: 27.65 to 53.85, a ratio of 1.95, and groups do better."""
UNUSABLE = Region(low=5.0)
NOTHING_LOST = Region(0.99, 1.01)
REACHES = Region(high=1.05)
COMPRESSED = Region(low=35.0)
"""Deep Compression's smallest ratio, AlexNet's."""


def settle(
    conclude: Conclude, survey: SurveyLab, row: str, what: str, found: Interval, *, accept: Region, of: Scored
) -> None:
    """Conclude a row that stands on a variant, with its columns."""
    details = {
        "survey": {
            "method": of.method,
            "bits_per_weight": of.bits_per_weight,
            "packed_bytes": of.packed_bytes,
            "held_bytes": of.held_bytes,
            "sparsity": of.sparsity,
            "kl": float(of.kl.mean()),
            "agreement": float(of.agreement.mean()),
            "ratio": of.against_dense().value,
            "percentiles": dict(zip(map(str, PERCENTILES), of.percentiles, strict=True)),
            "noted": of.noted,
            "seconds": of.seconds,
            "harness": of.harness,
        }
    }
    settings = survey.settings
    origin = {
        "protocol": (
            f"windows of {survey.windows.shape[1]} tokens from each document's start, every token but the first; "
            f"calibration {settings.calibration_sequences} x {settings.calibration_length} tokens; "
            f"{survey.lab.settings.device}"
        ),
        "documents": len(survey.windows),
        "tokens": survey.windows.numel(),
        "method": of.method,
        "seconds": round(of.seconds, 2),
    }
    conclude(row, what, found, accept, doubt=survey.partial, details=details, origin=origin)


WHAT = "perplexity over that of the dense model"


@pytest.mark.claim("SV1")
@pytest.mark.parametrize("domain", ["in-domain", "off-domain"])
@pytest.mark.parametrize(
    ("bits", "accept"),
    [
        pytest.param(b, a, id=f"SV1-gptq-w{b}")
        for b, a in ((8, UNAFFECTED), (4, UNAFFECTED), (3, DEGRADED), (2, UNUSABLE))
    ],
)
def test_gptq_at_fewer_bits(survey: SurveyLab, conclude: Conclude, bits: int, accept: Region, domain: str) -> None:
    """GPTQ in groups of 128, calibrated on text of the kind that is scored and on another."""
    away = domain == "off-domain"
    if away and not survey.off_domain:
        pytest.skip("calibration on text of another kind needs --train-text, such as a file of books")
    scored = survey.measure(GPTQ(bits, GROUPS), off_domain=away, harness=True)
    settle(conclude, survey, f"SV1-gptq-w{bits}-{domain}", WHAT, scored.against_dense(), accept=accept, of=scored)


@pytest.mark.claim("SV2")
@pytest.mark.parametrize("row", ["SV2-bits-per-byte", "SV2-word-from-byte"])
def test_three_metrics_are_one(survey: SurveyLab, conclude: Conclude, row: str) -> None:
    """lm-evaluation-harness's own figures of the dense and a compressed model against the arithmetic between them.

    "Not a rescaling" would hold if bits per byte were not the binary logarithm of byte perplexity. Word perplexity is
    byte perplexity to the power of bytes per word, the same power for every model on one text.
    """
    if not survey.has_harness:
        pytest.skip("lm-evaluation-harness starts every page from a BOS or EOS token and this tokenizer has neither")
    figures = [survey.dense_harness(), survey.measure(GPTQ(4, GROUPS), harness=True).harness]
    if row == "SV2-bits-per-byte":
        off = max(abs(found["bits_per_byte"] - math.log2(found["byte_perplexity"])) for found in figures)
        what, accept = "largest difference of bits per byte from log2(byte perplexity)", Region(low=1e-6)
    else:
        powers = [math.log(found["word_perplexity"]) / math.log(found["byte_perplexity"]) for found in figures]
        off, what = abs(powers[0] - powers[1]), "difference of ln(word) / ln(byte perplexity) between two models"
        accept = Region(low=1e-6)
    details = {"harness": figures}
    origin = by_arithmetic(survey.lab, survey.lab.decoder.name) | {"protocol": "lm-evaluation-harness, task wikitext"}
    conclude(row, what, exactly(off), accept, details=details, origin=origin)


@pytest.mark.claim("SV3")
@pytest.mark.parametrize(
    ("method", "accept"),
    [
        pytest.param(LAYER, DROPS, id=f"SV3-{LAYER}-drops"),
        pytest.param(WANDA, PERFORMANT, id=f"SV3-{WANDA}-performant"),
        pytest.param(SPARSEGPT, PERFORMANT, id=f"SV3-{SPARSEGPT}-performant"),
    ],
)
def test_perplexity_after_half_the_weights(
    survey: SurveyLab, conclude: Conclude, method: Method, accept: Region
) -> None:
    """Magnitude pruning drops seriously without retraining; Wanda and SparseGPT stay performant."""
    scored = survey.measure(method)
    row = f"SV3-{method}-{'drops' if accept is DROPS else 'performant'}"
    settle(conclude, survey, row, WHAT, scored.against_dense(), accept=accept, of=scored)


VERSUS = {
    "SV3-magnitude-over-wanda": (LAYER, WANDA, GROWS),
    "SV3-magnitude-over-sparsegpt": (LAYER, SPARSEGPT, GROWS),
    "SV4-layer-over-row": (LAYER, ROW, GROWS),
    "SV4-model-over-layer": (MODEL, LAYER, GROWS),
    "SV6-structured-over-unstructured": (StructuredPruning(0.2), WandaPruning(0.2), GROWS),
    "SV9-rtn-over-gptq-w4": (RoundToNearest(4, GROUPS), GPTQ(4, GROUPS), GROWS),
    "SV9-rtn-over-gptq-w3": (RoundToNearest(3, GROUPS), GPTQ(3, GROUPS), GROWS),
    # By KL, which is nearer to what GPTQ lessens than perplexity is: controls.
    "SV9-kl-rtn-over-gptq-w4": (RoundToNearest(4, GROUPS), GPTQ(4, GROUPS), GROWS),
    "SV9-kl-rtn-over-gptq-w3": (RoundToNearest(3, GROUPS), GPTQ(3, GROUPS), GROWS),
    "SV10-awq-over-mixed-w3": (AWQ(3, GROUPS), RoundToNearest(3, GROUPS, protect=Protection(0.02)), REACHES),
    "SV10-rtn-over-awq-w3": (RoundToNearest(3, GROUPS), AWQ(3, GROUPS), GROWS),
    "SV17-int4-over-fp4-a8": (
        RoundToNearest(4, GROUPS, activation_bits=8),
        FloatRounding(FP4, GROUPS, FP8_E4M3),
        GROWS,
    ),
    "SV17-int4-symmetric-over-fp4": (RoundToNearest(4, GROUPS, symmetric=True), FloatRounding(FP4, GROUPS), GROWS),
    "SV17-int8-over-fp8": (RoundToNearest(8, GROUPS), FloatRounding(FP8_E4M3, GROUPS), GROWS),
}


@pytest.mark.parametrize("row", [pytest.param(row, marks=pytest.mark.claim(row.partition("-")[0])) for row in VERSUS])
def test_one_method_against_another(survey: SurveyLab, conclude: Conclude, row: str) -> None:
    """Perplexity of the first over that of the second, on the same tokens; or KL, where the row says so."""
    first, second, accept = VERSUS[row]
    scored, other = survey.measure(first), survey.measure(second)
    if "-kl-" in row:
        what, found = f"KL of {first} over that of {second}, geometric means", scored.divergence_against(other)
    else:
        what, found = f"perplexity of {first} over that of {second}", scored.against(other)
    settle(conclude, survey, row, what, found, accept=accept, of=scored)


@pytest.mark.claim("SV12")
@pytest.mark.parametrize(
    "method", [pytest.param(m, id=f"SV12-{m}") for m in (LLMInt8(), LLMInt8(math.inf), SmoothQuant())]
)
def test_eight_bits_lose_nothing(survey: SurveyLab, conclude: Conclude, method: Method) -> None:
    """With outliers kept wide; without any (a control); and with outliers smoothed (a control)."""
    scored = survey.measure(method)
    settle(conclude, survey, f"SV12-{method}", WHAT, scored.against_dense(), accept=NOTHING_LOST, of=scored)


@pytest.mark.claim("SV13")
@pytest.mark.parametrize("method", [DeepCompression(0.9, 5), DeepCompression(0.3, 5)], ids=str)
@pytest.mark.parametrize("row", ["SV13-size", "SV13-quality"])
def test_deep_compression(survey: SurveyLab, conclude: Conclude, row: str, method: DeepCompression) -> None:
    """Size against 32 bits a weight with everything counted, and quality, without the retraining of the paper."""
    scored, name = survey.measure(method), f"{row}-{method.sparsity:g}"
    if row == "SV13-size":
        found, what, accept = exactly(32 / scored.bits_per_weight), "times smaller than 32 bits a weight", COMPRESSED
    else:
        found, what, accept = scored.against_dense(), WHAT, REACHES
    settle(conclude, survey, name, what, found, accept=accept, of=scored)


@pytest.mark.claim("SV5")
@pytest.mark.parametrize("row", ["SV5-2of4-quality", "SV5-2of4-over-unstructured"])
def test_two_of_four(survey: SurveyLab, conclude: Conclude, row: str) -> None:
    """Half the weights in the pattern that hardware knows, pruned by SparseGPT."""
    pattern = survey.measure(SparseGPT(HALF, (2, 4)))
    if row.endswith("quality"):
        settle(conclude, survey, row, WHAT, pattern.against_dense(), accept=PERFORMANT, of=pattern)
        return
    found = pattern.against(survey.measure(SPARSEGPT))
    settle(conclude, survey, row, "perplexity of 2:4 over that of 50 % anywhere", found, accept=GROWS, of=pattern)
