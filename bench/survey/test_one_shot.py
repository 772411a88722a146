"""A Brief Survey of Model Compression in Language Models: one-shot methods, SV3–SV6, SV10, SV12, SV17.

Perplexity ratios are exp of the difference of mean losses over the same tokens of each document. Rows that vote are
repeated over calibration samples where their methods calibrate.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.lab import Survey
from bench.survey.rows import COSTS, DENSE, GROUPS, PERFORMANT, WHY_PERFORMANT, loss_gaps, runs_of, settle_gaps
from bench.verdict.regions import GROWS, Region
from bench.verdict.rows import Row
from compress.method import Method
from compress.pruning.equal_count import UnstructuredCounterpart
from compress.pruning.magnitude import ComparisonGroup, MagnitudePruning
from compress.pruning.sparsegpt import SparseGPT
from compress.pruning.structured import StructuredPruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.awq import AWQ
from compress.quantization.float_grid import FP4, FP8_E4M3, FloatActivations, FloatRounding
from compress.quantization.int8 import LLMInt8, SmoothQuant
from compress.quantization.rounding import RoundToNearest
from compress.quantization.salient import SalientChannels

PAPER_SCALE = "paper-opt"
pytestmark = COSTS
HALF = 0.5
LAYER = MagnitudePruning(HALF)
ROWS = MagnitudePruning(HALF, ComparisonGroup.ROW)
MODEL = MagnitudePruning(HALF, ComparisonGroup.MODEL)
WANDA, SPARSEGPT = WandaPruning(HALF), SparseGPT(HALF)
STRUCTURED = StructuredPruning(0.25)
"""A quarter of the channels: LLM-Pruner's share, by which a fifth of LLaMA's parameters go."""
INT4, INT8 = RoundToNearest(4, GROUPS), RoundToNearest(8, GROUPS)
INT4_A8, INT8_A8 = RoundToNearest(4, GROUPS, activation_bits=8), RoundToNearest(8, GROUPS, activation_bits=8)
SYMMETRIC = RoundToNearest(4, GROUPS, symmetric=True)
FLOAT = FloatActivations(FloatRounding(FP4, GROUPS), FP8_E4M3)
NOTHING_LOST = Region(0.99, 1.01)
REACHES, NO_WORSE = Region(high=1.05), Region(low=1 / 1.05)
WHY = {
    GROWS: "the second is better, however little",
    REACHES: "as good: at most 5 % worse",
    NO_WORSE: "the second is comparable, if not superior: at most 5 % worse",
}


def alone(of: str, method: Method, accept: Region, because: str, *, ending: str = "", control: bool = False) -> Row:
    """Row on one variant against the dense model."""
    return Row(f"{of.rstrip('abcde')}-{method}{ending}", of, DENSE, accept, because, (method,), control=control)


HALVED = [
    alone("SV3a", LAYER, Region(low=2.0), "OPT-125M: 27.65 to 193; a serious drop doubles it", ending="-drops"),
    alone("SV3d", WANDA, PERFORMANT, WHY_PERFORMANT, ending="-performant"),
    alone("SV3e", SPARSEGPT, PERFORMANT, WHY_PERFORMANT, ending="-performant"),
]
EIGHT_BITS = [
    alone("SV12a", LLMInt8(), NOTHING_LOST, "nothing lost: within 1 %"),
    alone(
        "SV12a", LLMInt8(2.0), NOTHING_LOST, "inputs kept wide from a third of the paper's magnitude on", control=True
    ),
    alone("SV12a", LLMInt8(math.inf), NOTHING_LOST, "no outliers kept: a control", control=True),
    alone("SV12a", SmoothQuant(), NOTHING_LOST, "outliers smoothed: a control", control=True),
]
TWO_OF_FOUR = SparseGPT(HALF, (2, 4))
PATTERN = Row("SV5-2of4-quality", "SV5a", DENSE, PERFORMANT, WHY_PERFORMANT, (TWO_OF_FOUR,), control=True)


@pytest.mark.parametrize("row", parameters(*HALVED, *EIGHT_BITS, PATTERN))
def test_perplexity_over_the_dense_model(survey: Survey, conclude: Conclude, row: Row) -> None:
    """Half the weights gone; eight bits with outliers kept wide; two of four weights gone."""
    runs = runs_of(survey, row, row.contestants[0])  # pyright: ignore[reportArgumentType]
    settle_gaps(conclude, survey, row, np.stack([run.loss - run.dense_loss for run in runs]), runs[0])


def versus(
    of: str, ending: str, first: Method, second: Method, *, accept: Region = GROWS, control: bool = False
) -> Row:
    """Row on the perplexity of one variant over another's, on the same tokens."""
    return Row(
        f"{of.rstrip('abcde')}-{ending}",
        of,
        f"perplexity of {first} over that of {second}",
        accept,
        WHY[accept],
        (first, second),
        control=control,
    )


PRUNED = [
    versus("SV3b", "magnitude-over-wanda", LAYER, WANDA),
    versus("SV3c", "magnitude-over-sparsegpt", LAYER, SPARSEGPT),
    versus("SV4a", "layer-over-row", LAYER, ROWS),
    versus("SV4a", "model-over-layer", MODEL, LAYER, control=True),
    versus("SV5a", "2of4-over-unstructured", TWO_OF_FOUR, SPARSEGPT, control=True),
    versus("SV6b", "structured-over-unstructured", STRUCTURED, UnstructuredCounterpart(STRUCTURED)),
]
RTN, AWQ_3, SALIENT = RoundToNearest(3, GROUPS), AWQ(3, GROUPS), SalientChannels(3, GROUPS)
MIXED = [
    versus("SV10a", "awq-over-mixed-w3", AWQ_3, SALIENT, accept=REACHES),
    versus("SV10a", "rtn-over-mixed-w3", RTN, SALIENT, control=True),
    versus("SV10a", "rtn-over-awq-w3", RTN, AWQ_3, control=True),
]
FLOATS = [
    versus("SV17a", "int8-over-fp8-w4", INT4_A8, FloatActivations(INT4, FP8_E4M3)),
    versus("SV17a", "int8-over-fp8", INT8_A8, FloatActivations(INT8, FP8_E4M3)),
    versus("SV17b", "int4-over-fp4-a8", FloatActivations(INT4, FP8_E4M3), FLOAT, accept=NO_WORSE),
    versus("SV17b", "int4-symmetric-over-fp4", FloatActivations(SYMMETRIC, FP8_E4M3), FLOAT, control=True),
]


@pytest.mark.parametrize("row", parameters(*PRUNED, *MIXED, *FLOATS))
def test_one_method_against_another(survey: Survey, conclude: Conclude, row: Row) -> None:
    """Perplexity of the first over that of the second, on the same tokens."""
    first, second = (runs_of(survey, row, method) for method in row.contestants)  # pyright: ignore[reportArgumentType]
    settle_gaps(conclude, survey, row, loss_gaps(first, second), first[0])
