"""A Brief Survey of Model Compression in Language Models: LLM-Pruner's importance from gradients, beside SV6's Wanda.

The same share of the same channels goes as in SV6b's own row, chosen by the first- or second-order change of the loss.
Controls: the claim is about structured pruning, whatever its importance.
"""

from __future__ import annotations

import numpy as np
import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.gradients import GradientSurvey
from bench.survey.lab import Survey
from bench.survey.rows import COSTS, loss_gaps, settle_gaps
from bench.verdict.regions import GROWS
from bench.verdict.rows import Row
from compress.method import Method
from compress.pruning.equal_count import UnstructuredCounterpart
from compress.pruning.structured import StructuredPruning
from compress.pruning.taylor import Grain, Order, TaylorPruning

PAPER_SCALE = "paper-opt"
pytestmark = [
    pytest.mark.cost(shared="gradients of calibration sequences", embedded=(1, 60, 900), gpu=(2, 10, 20)),
    *COSTS,
]
STRUCTURED = StructuredPruning(0.25)
"""The share that SV6b's own row takes."""
COUNTERPART = UnstructuredCounterpart(STRUCTURED)
IMPORTANCES = {
    "first-order": TaylorPruning(0.25, Order.FIRST),
    "second-order": TaylorPruning(0.25, Order.SECOND),
    "vectors": TaylorPruning(0.25, Order.FIRST, Grain.VECTOR),
}


def over(ending: str, first: Method, second: Method) -> Row:
    """Control on the perplexity of one variant over another's."""
    return Row(
        f"SV6-{ending}",
        "SV6b",
        f"perplexity of {first} over that of {second}",
        GROWS,
        "the second is better, however little",
        (first, second),
        control=True,
    )


ROWS = [
    row
    for name, method in IMPORTANCES.items()
    for row in (
        over(f"llm-pruner-{name}-over-unstructured", method, COUNTERPART),
        over(f"wanda-over-llm-pruner-{name}", STRUCTURED, method),
    )
]


@pytest.mark.parametrize("row", parameters(*ROWS))
def test_importance_from_gradients(survey: Survey, gradients: GradientSurvey, conclude: Conclude, row: Row) -> None:
    """Perplexity of the first over that of the second, on the same tokens."""
    scored = [
        (gradients if isinstance(method, TaylorPruning) else survey).measure(method)
        for method in row.contestants
        if isinstance(method, Method)
    ]
    settle_gaps(conclude, survey, row, np.asarray(loss_gaps([scored[0]], [scored[1]])), scored[0])
