"""Blocks that a method has reached are shown, by hooks that leave nothing behind."""

from contextlib import contextmanager

import pytest
import torch

from bench.measure.blocks_at_work import shown
from compress.pruning.wanda import WandaPruning
from compress.quantization.awq import AWQ
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerGroup
from compress.quantization.rounding import RoundToNearest
from compress.swap import compressed
from models.load import find_blocks
from tests.tiny_models import hidden, tiny_llama


class Shown:
    """Display that keeps what it is told."""

    def __init__(self):
        self.told, self.opened = [], []

    @contextmanager
    def variant(self, name, tokens):
        self.opened.append((name, tokens))
        yield self.told.append


@pytest.fixture
def model():
    return tiny_llama()


@pytest.mark.parametrize(
    "method",
    [WandaPruning(0.5), GPTQ(4, PerGroup(8), true_sequential=True), AWQ(4, PerGroup(8))],
    ids=lambda method: type(method).__name__,
)
def test_every_block_is_told_once_in_order(model, tokens, method):
    blocks, progress = find_blocks(model), Shown()
    with shown(progress, "it", model.base_model, blocks):
        hidden(model)(tokens)
        assert not progress.told, "a pass of the whole model says nothing of calibration"
        with compressed(method, blocks, forward=hidden(model), batches=[tokens]):
            assert sum(progress.told) == len(blocks)
            hidden(model)(tokens)
    assert progress.opened == [("it", len(blocks))]
    assert progress.told == [1] * len(blocks)


def test_what_calibrates_on_nothing_reaches_no_block(model, tokens):
    blocks, progress = find_blocks(model), Shown()
    with shown(progress, "it", model.base_model, blocks), compressed(RoundToNearest(4, PerGroup(8)), blocks):
        hidden(model)(tokens)
    assert not progress.told


def test_a_pass_that_fails_leaves_no_hook_and_no_state(model, tokens):
    blocks, progress = find_blocks(model), Shown()
    with pytest.raises(IndexError), shown(progress, "it", model.base_model, blocks):
        with pytest.raises(IndexError):
            hidden(model)(torch.full_like(tokens, 10**6))
        with compressed(WandaPruning(0.5), blocks, forward=hidden(model), batches=[tokens]):
            assert sum(progress.told) == len(blocks), "the pass that failed is over"
        hidden(model)(torch.full_like(tokens, 10**6))
    for module in (model.base_model, *blocks):
        assert not module._forward_pre_hooks
        assert not module._forward_hooks
