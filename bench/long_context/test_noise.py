"""Wang, Wang & Li: Evaluating Zero-Shot Long-Context LLM Compression. The noise that attention sums: LC7."""

from __future__ import annotations

import pytest

from bench.fixtures import Conclude
from bench.long_context.lab import LongContext
from bench.long_context.theory import exponent
from bench.parameters import parameters
from bench.verdict.documents import cluster_interval
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
    (attention,) = row.contestants
    noise = long_context.noise(str(attention))
    positions, variances = noise["positions"], noise["variances"]
    resamples = long_context.settings.resamples
    interval = cluster_interval(variances, lambda means: exponent(positions, means), resamples=resamples)
    conclude(
        row,
        interval,
        long_context,
        decide="more documents (--effort=thorough)" if attention == "model" else "more simulated sequences",
        details={"positions": positions.tolist(), "variances": variances.mean(0).tolist()},
    )
