"""Rows on one-shot methods: costs, columns of a variant, intervals over calibration samples, the way to a verdict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bench.fixtures import Conclude
from bench.survey.lab import PERCENTILES, Scored, Survey
from bench.verdict.crossed import CrossedInterval, crossed_interval
from bench.verdict.documents import Array, Interval
from bench.verdict.needed import Needed, what_would_decide, which_would_decide
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from compress.coding import DeepCompression
from compress.method import Method
from compress.pruning.equal_count import UnstructuredCounterpart
from compress.pruning.sparsegpt import SparseGPT
from compress.pruning.structured import StructuredPruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.awq import AWQ
from compress.quantization.column_rounding import Ranges
from compress.quantization.first_values import FirstValuesDense
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerGroup
from compress.quantization.int8 import LLMInt8, SmoothQuant
from compress.quantization.salient import SalientChannels

COSTS = [
    pytest.mark.cost(fixture="survey", embedded=(1, 6, 12), gpu=(1, 2, 4)),
    pytest.mark.cost(
        of=(GPTQ, FirstValuesDense), embedded=(2, 36, 550), embedded_votes=(2, 36, 1600), gpu=(10, 55, 60)
    ),
    pytest.mark.cost(of=(SparseGPT, AWQ), embedded=(2, 25, 400), embedded_votes=(2, 25, 1200), gpu=(8, 15, 20)),
    pytest.mark.cost(
        of=(WandaPruning, StructuredPruning, UnstructuredCounterpart, SalientChannels, SmoothQuant, LLMInt8),
        embedded=(1, 10, 300),
        embedded_votes=(1, 10, 800),
        gpu=(2, 6, 10),
    ),
    pytest.mark.cost(of=DeepCompression, embedded=(1, 10, 40), gpu=(2, 4, 8)),
    pytest.mark.cost(of=Method, embedded=(1, 6, 45), gpu=(1, 2, 4)),
]
"""Costs by what a method does with its calibration; lm-evaluation-harness reads GPTQ's variants too.

At thorough effort 65,536 tokens go through the blocks twice, by far the most of it; three times where a row votes.
"""
GROUPS = PerGroup(128)
DENSE = "perplexity over that of the dense model"
PERFORMANT, WHY_PERFORMANT = Region(high=1.5), "OPT-125M under SparseGPT at 50 %: 27.65 to 36.85, a ratio of 1.33"


def recipe(bits: int, first: float = 1.0) -> GPTQ:
    """GPTQ as its authors recommend it for such models, first tokens weighted as an extension."""
    return GPTQ(
        bits,
        GROUPS,
        activation_order=True,
        ranges=Ranges.STATIC,
        true_sequential=True,
        first_token_weight=first,
    )


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


def settle(
    conclude: Conclude,
    survey: Survey,
    row: Row,
    interval: Interval,
    of: Scored,
    *,
    doubt: str = "",
    decide: str | Needed = "",
    details: dict | None = None,
) -> None:
    """Conclude a row that stands on a variant, with its columns.

    Args:
        conclude: the fixture.
        survey: the instrument.
        row: as declared.
        interval: what was measured, a ratio.
        of: the variant.
        doubt: why nobody could judge this row; the instrument's own reasons go first.
        decide: what would decide it, where that is not documents.
        details: what plots and tables show beside the variant's columns.
    """
    conclude(
        row,
        interval,
        survey,
        doubt=survey.doubt(of) or doubt,
        decide=decide or needed(interval, len(of.loss), row.accept),
        details=details_of(of) | (details or {}),
        method=of.method,
    )


def needed(interval: Interval, documents: int, region: Region) -> Needed:
    """Documents, or calibration samples where these vary too, that would decide a row on a ratio."""
    if isinstance(interval, CrossedInterval):
        return which_would_decide(interval, region, of=("calibration samples", "documents"))
    return what_would_decide(interval, documents, region)


def runs_of(survey: Survey, row: Row, method: Method) -> list[Scored]:
    """Scores of a variant, one a calibration sample where the method calibrates and the row votes."""
    return survey.over_samples(method) if method.statistic and not row.control else [survey.measure(method)]


def loss_gaps(firsts: Sequence[Scored], seconds: Sequence[Scored]) -> Array:
    """Mean losses of the first runs minus those of the second, `[calibration samples, documents]`.

    A variant that calibrates on nothing has one run, which stands against every sample of the other's.
    """
    count = max(len(firsts), len(seconds))
    pairs = zip(*(list(own) * (count // len(own)) for own in (firsts, seconds)), strict=True)
    return np.stack([first.loss - second.loss for first, second in pairs])


def settle_gaps(conclude: Conclude, survey: Survey, row: Row, gaps: Array, of: Scored) -> None:
    """Conclude a row on a ratio of perplexities, over documents and calibration samples.

    Args:
        conclude: the fixture.
        survey: the instrument.
        row: as declared.
        gaps: logarithms of the ratio, `[calibration samples, documents]`.
        of: the variant that the row is about.
    """
    settle(conclude, survey, row, crossed_interval(gaps, lambda means: means[..., 0]).map(np.exp), of)


def over_samples(runs: Sequence[Array], reference: Array) -> Interval:
    """Geometric mean of exp of runs minus a reference, over documents and calibration samples.

    Args:
        runs: one a calibration sample, `[documents]` each, such as mean losses.
        reference: of what calibrates on nothing, or of the dense model, `[documents]`.
    """
    gaps = np.stack(runs) - reference
    return crossed_interval(gaps, lambda means: means[..., 0]).map(np.exp)


def one_sample(survey: Survey) -> str:
    """Reason why what rests on one calibration sample is not judged; empty where there are several."""
    if survey.settings.samples > 1:
        return ""
    return "one calibration sample says nothing of others; --effort=thorough measures three"
