"""Rows on one-shot methods: costs, columns of a variant, intervals over calibration samples, the way to a verdict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bench.fixtures import Conclude
from bench.survey.lab import PERCENTILES, Scored, Survey
from bench.verdict.crossed import crossed_interval
from bench.verdict.documents import Array, Interval
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from compress.coding import DeepCompression
from compress.method import Method
from compress.pruning.sparsegpt import SparseGPT
from compress.pruning.structured import StructuredPruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.awq import AWQ
from compress.quantization.first_values import FirstValuesDense
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerGroup
from compress.quantization.int8 import LLMInt8, SmoothQuant

COSTS = [
    pytest.mark.cost(fixture="survey", embedded=(1, 6, 12), gpu=(1, 2, 4)),
    pytest.mark.cost(of=(GPTQ, FirstValuesDense), embedded=(2, 36, 200), gpu=(10, 30, 60)),
    pytest.mark.cost(of=(SparseGPT, AWQ), embedded=(2, 25, 65), gpu=(8, 15, 20)),
    pytest.mark.cost(
        of=(WandaPruning, StructuredPruning, SmoothQuant, LLMInt8, DeepCompression),
        embedded=(1, 10, 30),
        gpu=(2, 6, 10),
    ),
    pytest.mark.cost(of=Method, embedded=(1, 6, 12), gpu=(1, 2, 4)),
]
"""Costs by what a method does with its calibration; GPTQ's variants are read by lm-evaluation-harness too."""
GROUPS = PerGroup(128)
DENSE = "perplexity over that of the dense model"
PERFORMANT, WHY_PERFORMANT = Region(high=1.5), "OPT-125M under SparseGPT at 50 %: 27.65 to 36.85, a ratio of 1.33"


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


def settle(conclude: Conclude, survey: Survey, row: Row, interval: Interval, of: Scored, *, doubt: str = "") -> None:
    """Conclude a row that stands on a variant, with its columns."""
    conclude(row, interval, survey, doubt=survey.doubt(of) or doubt, details=details_of(of), method=of.method)


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
