"""Cost of Kronecker decomposition, Kronecker layers and training, against the plain way in the same process."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.krony.printed import MATRIX, TABLE_1, Factorisation
from bench.krony.settings import NANO
from bench.measure.timing import seconds
from bench.speed.stated import Stated
from compress.factorisation.kronecker.linear import Contraction, choose, kronecker_linear, operations
from compress.factorisation.kronecker.sums import FactorShapes, materialise, rearranged, van_loan
from models.gpt2 import build
from models.training.train import Training, batch_indices, next_token_loss, train, windows_of

pytestmark = pytest.mark.cost(6)
TOKENS = 2048
MOST_LOOP_RATIO = 1.15
AHEAD = 1.0
NOISE = 1.25
"""Timings this near to each other are the same."""


@pytest.fixture(autouse=True)
def less_at_lower_efforts(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> None:
    """Skip shapes: those of Table 1 without a name below thorough effort, all but the 81M model's at quick effort."""
    effort = pytestconfig.getoption("effort")
    row = request.node.callspec.params.get("row") if hasattr(request.node, "callspec") else None
    if effort != "thorough" and isinstance(row, Factorisation) and not row.name:
        pytest.skip("one of Table 1's unnamed shapes; use --effort=thorough")
    if effort == "quick" and (row is None or row.name != "81M"):
        pytest.skip("not timed at quick effort; use --effort=normal")


@pytest.mark.parametrize("terms", [1, 4])
@pytest.mark.parametrize("first", [(768, 768), (1024, 256)], ids=str)
def test_van_loan_against_torch(benchmark: Callable, stated: Stated, first: tuple[int, int], terms: int) -> None:
    """Against a full SVD of the rearranged matrix and against the paper's randomised one, at no larger error."""
    weight = torch.randn(MATRIX, generator=torch.Generator().manual_seed(0))
    shapes = FactorShapes.cut(MATRIX, first)

    def full() -> Tensor:
        left, values, right = torch.linalg.svd(rearranged(weight, shapes), full_matrices=False)
        return (left[:, :terms] * values[:terms]) @ right[:terms]

    def randomised() -> Tensor:
        left, values, right = torch.svd_lowrank(rearranged(weight, shapes), q=terms, niter=10)
        return (left * values) @ right.T

    def error(product: Tensor) -> float:
        return float((rearranged(weight, shapes).double() - product.double()).square().sum())

    exact, drawn = error(full()), error(randomised())
    times = {"full_svd": seconds(full, 3), "svd_lowrank": seconds(randomised, 3)}
    a, b = benchmark.pedantic(van_loan, (weight, first, terms), rounds=5, warmup_rounds=1)
    ours = error(rearranged(materialise(a, b), shapes))
    assert ours <= min(exact, drawn) * (1 + 1e-6) + 1e-9 * float(weight.square().sum())
    for name, theirs in times.items():
        benchmark.extra_info[f"times_faster_than_{name}"] = theirs / benchmark.stats.stats.min
        stated(theirs / benchmark.stats.stats.min > AHEAD, f"no faster than {name}")


def timed(inputs: Tensor, layer: Callable[[Tensor], Tensor], parameters: list[Tensor]) -> tuple[float, float]:
    """Seconds of a forward pass without gradients, and of a forward and backward pass."""

    def both() -> None:
        layer(inputs).sum().backward()
        for tensor in (*parameters, inputs):
            tensor.grad = None

    def forward() -> None:
        with torch.inference_mode():
            layer(inputs)

    for action in (forward, both):
        action()
    return seconds(forward, 4), seconds(both, 3)


@pytest.mark.parametrize("row", TABLE_1, ids=lambda row: f"{row.first[0]}x{row.first[1]}")
def test_kronecker_layer_against_dense(benchmark: Callable, stated: Stated, row: Factorisation) -> None:
    """Forward and backward at 2,048 tokens: never slower under half the operations, and in the order chosen."""
    generator = torch.Generator().manual_seed(0)
    shapes = FactorShapes.cut(MATRIX, row.first)
    inputs = torch.randn(TOKENS, MATRIX[1], generator=generator, requires_grad=True)
    dense = nn.Linear(MATRIX[1], MATRIX[0], bias=False)
    parts = (shapes.first, shapes.second)
    first, second = (torch.randn(1, *part, generator=generator, requires_grad=True) for part in parts)
    plain = timed(inputs, dense, [dense.weight])
    chosen = choose(shapes, 1, TOKENS)
    times = {
        order: timed(inputs, lambda x, order=order: kronecker_linear(x, first, second, order=order), [first, second])
        for order in Contraction
    }
    benchmark.pedantic(kronecker_linear, (inputs, first, second), rounds=2)
    ratio = operations(shapes, 1, TOKENS, chosen) / operations(shapes, 1, TOKENS, Contraction.WHOLE)
    ours, best = sum(times[chosen]), min(map(sum, times.values()))
    benchmark.extra_info |= {
        "operations_over_dense": ratio,
        "forward_over_dense": times[chosen][0] / plain[0],
        "forward_and_backward_over_dense": times[chosen][1] / plain[1],
        "chosen": chosen.name,
        "chosen_over_fastest_order": ours / best,
    }
    if ratio < 0.5:
        faster = times[chosen][0] <= plain[0] and times[chosen][1] <= plain[1]
        stated(faster, "slower than the dense layer with under half its operations")
    stated(ours <= best * NOISE, f"the chosen order takes {ours / best:.2f} times the fastest")


def test_training_against_a_bare_loop(benchmark: Callable, stated: Stated) -> None:
    """Steps of the loop on accelerate against the same steps in plain PyTorch, on the embedded teacher."""
    tokens = torch.randint(0, NANO.vocabulary, (64 * 128,), generator=torch.Generator().manual_seed(0))
    windows = windows_of(tokens, 128)
    training = Training(steps=10, batch=16, learning_rate=1e-3)

    def bare() -> float:
        model = build(NANO, seed=0).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=training.betas, weight_decay=0.1)
        started = time.perf_counter()
        for step in range(training.steps):
            next_token_loss(model, windows[batch_indices(len(windows), training.batch, step, 0)]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), training.clip)
            optimizer.step()
            optimizer.zero_grad()
        return time.perf_counter() - started

    def ours() -> float:
        return train(build(NANO, seed=0), windows, training, watch=lambda *_: None).seconds

    pairs = [(ours(), bare()) for _ in range(4)]
    benchmark.pedantic(ours, rounds=1)
    ratio = min(a for a, _ in pairs) / min(b for _, b in pairs)
    benchmark.extra_info["ratio_to_bare_loop"] = ratio
    benchmark.extra_info["tokens_per_second"] = training.steps * training.batch * 128 / min(a for a, _ in pairs)
    stated(ratio <= MOST_LOOP_RATIO, f"the loop takes {ratio:.2f} times a bare one")
