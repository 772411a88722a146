"""Cost of low-rank layers and of the decomposition, against the dense layer and a full SVD in the same process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.measure.session import Session
from bench.measure.timing import seconds
from bench.speed.stated import Stated
from compress.factorisation.low_rank.decompose import singular_values, truncated_svd
from compress.factorisation.low_rank.fisher import RowImportance, fisher_rows
from compress.factorisation.low_rank.layer import LowRankLinear
from compress.factorisation.low_rank.methods import TruncatedSVD
from models.training.train import next_token_loss

pytestmark = pytest.mark.cost(4)
TOKENS = 2048
SHAPES = [(1536, 576), (576, 1536), (576, 576)]
"""SmolLM2-135M's; its keys and values are smaller."""
AHEAD = 1.2
MOST_PASSES = 3.5


def dense(shape: tuple[int, int]) -> nn.Linear:
    """Layer with a weight of full rank."""
    layer = nn.Linear(shape[1], shape[0], bias=False)
    layer.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    return layer.requires_grad_(False)


def at_these_efforts(session: Session, shape: tuple[int, int]) -> None:
    """Skip all shapes but the first at quick effort."""
    if session.settings.effort == "quick" and shape != SHAPES[0]:
        pytest.skip("more shapes are timed with --effort=normal")


@pytest.mark.parametrize("share", [0.25, 0.45])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_low_rank_layer_against_dense(
    session: Session, benchmark: Callable, stated: Stated, shape: tuple[int, int], share: float
) -> None:
    """Forward at 2,048 tokens: faster than the dense layer wherever it has under half of its operations."""
    at_these_efforts(session, shape)
    plain = dense(shape)
    layer = TruncatedSVD(share)(plain)
    assert isinstance(layer, LowRankLinear)
    inputs = torch.randn(TOKENS, shape[1], generator=torch.Generator().manual_seed(1))
    assert layer.operations(TOKENS) < 0.5 * 2 * TOKENS * plain.weight.numel()

    def of(module: nn.Module) -> Callable[[], Tensor]:
        return torch.inference_mode()(lambda: module(inputs))

    ours, theirs = of(layer), of(plain)
    for warm in (ours, theirs):
        warm()
    times = [(seconds(ours), seconds(theirs)) for _ in range(7)]
    benchmark.pedantic(ours, rounds=2)
    ratio = min(slow for _, slow in times) / min(fast for fast, _ in times)
    benchmark.extra_info |= {
        "times_faster_than_dense": ratio,
        "share_of_operations": layer.operations(1) / (2 * plain.weight.numel()),
    }
    if session.settings.effort != "quick":
        stated(ratio > 1, f"{ratio:.2f} times as fast as the dense layer with under half of its operations")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_truncated_svd_against_a_full_one(
    session: Session, benchmark: Callable, stated: Stated, shape: tuple[int, int]
) -> None:
    """At half of the parameters, with the error of the tail of the singular values, as a full SVD cut off has it."""
    at_these_efforts(session, shape)
    weight = dense(shape).weight.detach()
    rank = TruncatedSVD(0.5).rank_of(dense(shape), "")

    def full() -> Tensor:
        left, values, right = torch.linalg.svd(weight.double(), full_matrices=False)
        return (left[:, :rank] * values[:rank]) @ right[:rank]

    times = [(seconds(lambda: truncated_svd(weight, rank)), seconds(full)) for _ in range(3)]
    factors = benchmark.pedantic(truncated_svd, (weight.double(), rank), rounds=2)
    error = float((weight.double() - factors.product()).square().sum())
    tail = float(singular_values(weight)[rank:].square().sum())
    assert abs(error - tail) <= 1e-9 * tail
    ratio = min(slow for _, slow in times) / min(fast for fast, _ in times)
    benchmark.extra_info["times_faster_than_full_svd"] = ratio
    if session.settings.effort != "quick":
        stated(ratio > AHEAD, f"{ratio:.2f} times as fast as a full SVD cut off")


@pytest.mark.cost(12)
def test_fisher_information_against_forward_passes(session: Session, benchmark: Callable, stated: Stated) -> None:
    """Squared gradients of sequences, in forward passes of the same tokens: a backward pass is about two."""
    if session.settings.effort == "quick":
        pytest.skip("not timed at quick effort; use --effort=normal")
    decoder = session.decoder
    tokens = torch.cat(session.calibration)[:2, :256].to(decoder.device)

    def forward() -> None:
        with torch.inference_mode():
            for sequence in tokens.split(1):
                next_token_loss(decoder.model, sequence)

    def gradients() -> RowImportance:
        return fisher_rows(lambda batch: next_token_loss(decoder.model, batch), decoder.blocks, [tokens])

    forward()
    times = [(seconds(gradients), seconds(forward)) for _ in range(2)]
    benchmark.pedantic(gradients, rounds=1)
    ratio = min(ours for ours, _ in times) / min(plain for _, plain in times)
    benchmark.extra_info["forward_passes"] = ratio
    stated(ratio <= MOST_PASSES, f"{ratio:.2f} forward passes of the same tokens")
