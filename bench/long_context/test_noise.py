"""Wang, Wang & Li: Evaluating Zero-Shot Long-Context LLM Compression. The noise that attention sums: LC7."""

from __future__ import annotations

from typing import Any

import pytest

from bench.fixtures import Conclude
from bench.long_context.lab import LongContext
from bench.long_context.looks import look
from bench.long_context.theory import exponent
from bench.parameters import parameters
from bench.verdict.documents import Interval, cluster_interval
from bench.verdict.regions import LINEAR
from bench.verdict.rows import Row

pytestmark = [pytest.mark.leads, pytest.mark.cost(10)]
LC7 = [
    Row(
        f"LC7-{attention}",
        "LC7a",
        "exponent e in: variance of the noise in h_t ∝ t^e",
        LINEAR,
        "linear growth is an exponent of 1",
        (attention,),
        control=attention == "summed",
    )
    for attention in ("summed", "diffuse", "peaked", "model")
]


@pytest.mark.parametrize("row", parameters(*LC7))
def test_noise_variance_grows_linearly(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """§4.1: with eq. 3–5 the variance of the noise sum grows linearly with t.

    `summed` is the control: weights of one, not a softmax; there the statement is true and must be seen to be.
    """
    attention = str(row.contestants[0])

    def statistic(lab: LongContext, **how: Any) -> Interval:
        noise = lab.noise(attention)
        return cluster_interval(noise["variances"], lambda means: exponent(noise["positions"], means), **how)

    by_model = attention == "model"
    seen = look(long_context, row.accept, statistic, once=not by_model)
    noise = seen.lab.noise(attention)
    positions, variances = noise["positions"].tolist(), noise["variances"].mean(0).tolist()
    conclude(
        row,
        seen.interval,
        seen.origin,
        decide="more documents (--effort=thorough)" if by_model else "more simulated sequences",
        details={"positions": positions, "variances": variances} | (seen.details if by_model else {}),
    )
