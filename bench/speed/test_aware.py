"""Cost of a training step under rounding or masks, against the plain step in the same process (pytest-benchmark)."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from bench.measure.session import Session
from bench.measure.timing import seconds
from bench.speed.settled import settled
from bench.speed.stated import Stated
from compress.pruning.retrained import by_magnitude, hold
from compress.quantization.aware import make_aware
from models.gpt2 import GPT2Shape, build
from models.load import find_blocks
from models.training.train import next_token_loss

pytestmark = pytest.mark.cost(4)
SHAPE = GPT2Shape(layers=4, width=192, heads=4, vocabulary=1024, positions=128)
BATCH, ROUNDS = 16, 5
MOST = 1.3
"""Times a plain step that one with rounded or pruned weights may take."""


def _rounded(layers: dict[str, nn.Linear]) -> None:
    make_aware(layers.values(), 4)


def _pruned(layers: dict[str, nn.Linear]) -> None:
    hold(layers, by_magnitude(layers, 0.5))


CHANGES: dict[str, Callable[[dict[str, nn.Linear]], None]] = {"rounded": _rounded, "pruned": _pruned}


@pytest.mark.parametrize("change", CHANGES)
def test_training_step(session: Session, benchmark: Callable, stated: Stated, change: str) -> None:
    """A step of AdamW on weights that are rounded at 4 bits with learned steps, or that keep a mask."""
    device = session.settings.device
    plain = build(SHAPE, seed=0, initial_scale=0.05).to(torch.device(device)).train()  # pyright: ignore[reportArgumentType]
    changed = copy.deepcopy(plain)
    blocks = nn.ModuleList(find_blocks(changed))
    CHANGES[change]({name: module for name, module in blocks.named_modules() if isinstance(module, nn.Linear)})
    tokens = torch.randint(SHAPE.vocabulary, (BATCH, SHAPE.positions), generator=torch.Generator().manual_seed(0))
    ours, theirs = (settled(_step(model, tokens.to(device)), device) for model in (changed, plain))
    theirs()
    slow = seconds(theirs, ROUNDS)
    benchmark.pedantic(ours, rounds=ROUNDS, warmup_rounds=1)
    benchmark.extra_info["device"] = device
    benchmark.extra_info["ratio_to_plain"] = ratio = benchmark.stats.stats.min / slow
    stated(ratio <= MOST, f"a step with weights {change} takes {ratio:.2f} times a plain one, stated {MOST}")


def _step(model: nn.Module, tokens: torch.Tensor) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        next_token_loss(model, tokens).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step
