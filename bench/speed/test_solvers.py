"""Cost of GPTQ and SparseGPT, against the paper's loop and against the authors' programs, in the same process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor

from bench.measure.session import Session
from bench.measure.timing import seconds
from bench.speed.loops import (
    authors_gptq,
    authors_sparsegpt,
    layer,
    output_error,
    plain_gptq,
    plain_sparsegpt,
)
from bench.speed.settled import settled
from bench.speed.stated import Stated
from compress.pruning.factor import inverse_factor
from compress.pruning.sparsegpt import sparsegpt
from compress.quantization.gptq import gptq
from compress.quantization.grouping import PerGroup, PerRow

LEAST_RATIO = 3.0
LEAST_RATIO_TO_AUTHORS = 1.5
SAME_CODES = 0.999
"""Share of codes that must agree: float32 sums in another order move a weight over a rounding boundary at times."""
NO_WORSE = 1.001
"""Largest ratio of output errors that are the same but for those codes."""
SHAPES = [(1536, 576), (576, 1536)]
LARGE = (4096, 4096)


@pytest.fixture(autouse=True)
def less_at_lower_efforts(request: pytest.FixtureRequest, session: Session) -> None:
    """Skip shapes that take long at quick effort, and on a GPU those whose kernels take less time than their launch."""
    effort, shape = session.settings.effort, request.node.callspec.params["shape"]
    if effort == "quick" and shape != SHAPES[0]:
        pytest.skip("more shapes are timed with --effort=normal")
    if shape != LARGE and session.settings.device.startswith("cuda"):
        pytest.skip("too small for a GPU, on which it would time the launches; run pytest bench/speed/test_solvers.py")


@pytest.mark.cost(6)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("what", ["gptq", "gptq-groups", "sparsegpt"])
def test_solver(  # noqa: PLR0917 - fixtures
    session: Session,
    benchmark: Callable,
    monkeypatch: pytest.MonkeyPatch,
    stated: Stated,
    shape: tuple[int, int],
    what: str,
) -> None:
    """Against the plain loop in turn; the factor of the Hessian, which both need, is worked out once for both."""
    weight, gram = layer(*shape)
    known = inverse_factor(gram, 0.01, weight.dtype)
    for module in ("compress.quantization.gptq", "compress.pruning.sparsegpt", "bench.speed.loops"):
        monkeypatch.setattr(f"{module}.inverse_factor", lambda *_: known)
    actions: dict[str, tuple[Callable, Callable]] = {
        "gptq": (lambda: gptq(weight, gram, bits=4, grouping=PerRow()).codes, lambda: plain_gptq(weight, gram, 4)),
        "gptq-groups": (
            lambda: gptq(weight, gram, bits=4, grouping=PerGroup(64)).codes,
            lambda: plain_gptq(weight, gram, 4, 64),
        ),
        "sparsegpt": (lambda: sparsegpt(weight, gram, sparsity=0.5).mask, lambda: plain_sparsegpt(weight, gram)),
    }
    ours, plain = actions[what]
    times = [(seconds(ours), seconds(plain)) for _ in range(5)]
    benchmark.pedantic(ours, rounds=1)
    benchmark.extra_info["ratio"] = ratio = min(slow for _, slow in times) / min(fast for fast, _ in times)
    benchmark.extra_info["same"] = share = float((ours() == plain()).float().mean())
    assert share >= SAME_CODES
    if session.settings.effort != "quick":
        stated(ratio >= LEAST_RATIO, f"only {ratio:.1f} times faster than the plain loop")


@pytest.mark.cost(40)
@pytest.mark.parametrize("shape", [LARGE], ids=str)
@pytest.mark.parametrize("what", ["gptq", "sparsegpt"])
def test_large_layer_against_the_authors_loop(
    session: Session, benchmark: Callable, stated: Stated, shape: tuple[int, int], what: str
) -> None:
    """A layer as large as people's, its Hessian's factor included, on the session's device."""
    device = session.settings.device
    weight, gram = layer(*shape, device)

    def of_ours() -> tuple[Tensor, Tensor]:
        if what == "gptq":
            quantized = gptq(weight, gram, bits=4, grouping=PerGroup(128))
            return quantized.weight, quantized.codes
        pruned = sparsegpt(weight, gram, sparsity=0.5)
        return pruned.weight, pruned.mask

    def of_theirs() -> tuple[Tensor, Tensor]:
        return authors_gptq(weight, gram, 4, 128) if what == "gptq" else authors_sparsegpt(weight, gram)

    ours, theirs = settled(of_ours, device), settled(of_theirs, device)
    times = [(seconds(ours), seconds(theirs)) for _ in range(2)]
    kept, chosen = benchmark.pedantic(ours, rounds=1)
    other, others = of_theirs()
    error = output_error(weight, kept, gram) / output_error(weight, other, gram)
    same = float((chosen == others).float().mean())
    ratio = min(slow for _, slow in times) / min(fast for fast, _ in times)
    benchmark.extra_info |= {"device": device, "ratio": ratio, "same": same, "output_error_ratio": error}
    assert same >= SAME_CODES
    assert error <= NO_WORSE
    if not device.startswith("cuda"):
        stated(ratio >= LEAST_RATIO_TO_AUTHORS, f"only {ratio:.2f} times faster than the authors' loop")
