"""Cost of exact Optimal Brain Compression, against every row's inverse Hessian updated in place, in one process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.measure.session import Session
from bench.measure.timing import seconds
from bench.speed.loops import layer, plain_obc
from bench.speed.stated import Stated
from compress.pruning.elimination import ROWS
from compress.pruning.second_order import obc

LEAST_RATIO = 3.0


@pytest.mark.cost(8)
def test_exact_pruning(session: Session, benchmark: Callable, stated: Stated) -> None:
    """Half the weights of a few rows of SmolLM2's width."""
    weight, gram = layer(ROWS, 576, session.settings.device)

    def ours() -> object:
        return obc(weight, gram, sparsity=0.5).mask

    times = [(seconds(ours), seconds(lambda: plain_obc(weight, gram, 0.5))) for _ in range(2)]
    benchmark.pedantic(ours, rounds=1)
    benchmark.extra_info["ratio"] = ratio = min(slow for _, slow in times) / min(fast for fast, _ in times)
    assert bool((obc(weight, gram, sparsity=0.5).mask == plain_obc(weight, gram, 0.5)).all())
    if session.settings.effort != "quick":
        stated(ratio >= LEAST_RATIO, f"only {ratio:.1f} times faster than updating in place")
