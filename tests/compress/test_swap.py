"""Compression of live models: what is skipped, what an error leaves behind, and the way back."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import nn

from compress.calibrate import linear_layers
from compress.coding import DeepCompression
from compress.pruning.equal_count import UnstructuredCounterpart
from compress.pruning.magnitude import ComparisonGroup, MagnitudePruning
from compress.pruning.random import RandomPruning
from compress.pruning.sparsegpt import SparseGPT
from compress.pruning.structured import StructuredPruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.awq import AWQ
from compress.quantization.float_grid import FP4, FloatActivations, FloatRounding
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerGroup, PerRow, PerTensor
from compress.quantization.int8 import LLMInt8, SmoothQuant
from compress.quantization.mixed_precision import Protection
from compress.quantization.rounding import CastWeights, RoundToNearest
from compress.quantization.salient import SalientChannels
from compress.size import total
from compress.swap import Compression, apply
from models.load import find_blocks
from tests.layers import hooks
from tests.tiny_models import run

ALL = [
    MagnitudePruning(0.5),
    MagnitudePruning(0.3, ComparisonGroup.ROW),
    MagnitudePruning(0.4, ComparisonGroup.MODEL),
    MagnitudePruning(0.01, largest=True),
    RandomPruning(0.1),
    WandaPruning(0.5),
    WandaPruning(0.5, (2, 4)),
    SparseGPT(0.5, (2, 4)),
    StructuredPruning(0.25),
    RoundToNearest(3),
    RoundToNearest(4, PerRow(), symmetric=True),
    RoundToNearest(8, PerTensor()),
    RoundToNearest(3, PerGroup(7), protect=Protection(0.1)),
    RoundToNearest(4, activation_bits=8),
    CastWeights(torch.bfloat16),
    GPTQ(4, PerGroup(8)),
    AWQ(4, PerGroup(8)),
    LLMInt8(),
    SmoothQuant(),
    FloatRounding(FP4, PerGroup(8)),
    FloatActivations(FloatRounding(FP4, PerGroup(8)), FP4),
    SalientChannels(3, PerGroup(8), 0.1),
    UnstructuredCounterpart(StructuredPruning(0.25)),
    DeepCompression(0.5, 4),
]


@pytest.mark.parametrize("method", ALL, ids=str)
def test_undo_gives_back_the_very_same_model(tiny, tokens, method):
    before, count = run(tiny)(tokens).logits, hooks(tiny)
    modules = list(tiny.modules())
    outcome = apply(method, find_blocks(tiny), forward=run(tiny), batches=[tokens], model=tiny)
    after = run(tiny)(tokens).logits
    assert after.isfinite().all() and not torch.equal(after, before)
    assert len(outcome.compressed) == sum(len(linear_layers(block)) for block in find_blocks(tiny))
    outcome.undo()
    outcome.undo()
    assert torch.equal(run(tiny)(tokens).logits, before)
    assert list(tiny.modules()) == modules
    assert hooks(tiny) == count


def test_hooks_come_off_and_layers_come_back_after_an_error(tiny, tokens):
    before, count = run(tiny)(tokens).logits, hooks(tiny)

    class Failing(WandaPruning):
        def __call__(self, layer, statistic, *, name=""):
            if name.startswith("2."):
                raise RuntimeError("in the middle")
            return super().__call__(layer, statistic, name=name)

    with pytest.raises(RuntimeError, match="in the middle"):
        apply(Failing(0.5), find_blocks(tiny), forward=run(tiny), batches=[tokens])
    assert torch.equal(run(tiny)(tokens).logits, before)
    assert hooks(tiny) == count


def test_a_method_that_measures_refuses_to_run_blind(tiny):
    with pytest.raises(ValueError, match="at least one calibration batch"):
        apply(WandaPruning(0.5), find_blocks(tiny))


def test_compressing_nothing_is_an_error():
    with pytest.raises(ValueError, match="nothing would be compressed"):
        apply(RoundToNearest(4), nn.ModuleList([nn.LayerNorm(3)]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_named(tiny, bad):
    block = find_blocks(tiny)[1]
    name, layer = next(iter(linear_layers(block).items()))
    layer.weight[0, 0] = bad
    with pytest.raises(ValueError, match=rf"1\.{name} holds NaN or infinity"):
        apply(RoundToNearest(4), find_blocks(tiny))


def test_what_was_skipped_is_named_with_its_reason(tiny):
    outcome = apply(RoundToNearest(4), find_blocks(tiny), model=tiny)
    reasons = {skipped.name: skipped.reason for skipped in outcome.skipped}
    assert any("norm" in name or "ln" in name for name, reason in reasons.items() if "no linear layer" in reason)
    assert any("emb" in name or "wte" in name for name, reason in reasons.items() if "outside" in reason)
    counted = sum(layer.storage.weights for layer in outcome.compressed)
    outcome.undo()
    biases = sum(x.bias.numel() for b in find_blocks(tiny) for x in linear_layers(b).values() if x.bias is not None)
    inside = {skipped.name for skipped in outcome.skipped}
    tied = tiny.config.tie_word_embeddings
    head = tiny.get_output_embeddings().weight.numel() if tied and "lm_head" in inside else 0
    everything = sum(parameter.numel() for parameter in tiny.parameters())
    assert counted + biases + sum(skipped.parameters for skipped in outcome.skipped) - head == everything


@pytest.mark.parametrize("fatal", [KeyboardInterrupt, SystemExit])
def test_an_interruption_also_leaves_the_model_as_it_was(tiny, tokens, fatal):
    before = run(tiny)(tokens).logits

    class Stopped(MagnitudePruning):
        def __call__(self, layer, statistic=None, *, name=""):
            if name.startswith("2."):
                raise fatal
            return super().__call__(layer, statistic, name=name)

    with pytest.raises(fatal):
        apply(Stopped(0.5), find_blocks(tiny))
    assert torch.equal(run(tiny)(tokens).logits, before)


def test_the_whole_is_the_sum_of_its_layers(tiny):
    outcome = apply(MagnitudePruning(0.37), find_blocks(tiny))
    layers = [layer for block in find_blocks(tiny) for layer in linear_layers(block).values()]
    zeros, weights = (
        sum(int(count) for count in counts)
        for counts in ([(x.weight == 0).sum() for x in layers], [x.weight.numel() for x in layers])
    )
    assert outcome.sparsity == pytest.approx(zeros / weights) and outcome.storage.weights == weights
    assert outcome.storage == total(layer.storage for layer in layers)
    assert [one.sparsity for one in outcome.compressed] == [pytest.approx(layer.sparsity()) for layer in layers]
    for value, name in ((outcome.compressed[0], "note"), (outcome.skipped[0], "reason")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, "")


def test_only_what_is_outside_of_the_blocks_is_told_to_be(tiny):
    blocks = find_blocks(tiny)
    alone = apply(MagnitudePruning(0.5), blocks, chosen=lambda name, _layer: name.endswith(("fc1", "c_fc", "up_proj")))
    reasons = {one.reason for one in alone.skipped}
    assert "not chosen" in reasons and "outside the decoder blocks" not in reasons
    assert len(alone.compressed) == len(blocks)
    modules = dict(nn.ModuleList(blocks).named_modules())
    for one in alone.skipped:
        own = sum(parameter.numel() for parameter in modules[one.name].parameters(recurse=False))
        assert one.parameters == own > 0
    alone.undo()
    whole = apply(MagnitudePruning(0.5), blocks, model=tiny)
    assert any(one.reason == "outside the decoder blocks" for one in whole.skipped)


def test_attributes_come_back_in_the_order_in_which_they_were_set():
    module, outcome = nn.Linear(2, 2), Compression()
    module.note = "first"
    for value in ("second", "third"):
        outcome.tell(module, "note", value)
    assert module.note == "third"
    outcome.undo()
    assert module.note == "first"


def test_what_is_no_module_cannot_take_a_layers_place(tiny):
    class Odd(MagnitudePruning):
        def __call__(self, layer, statistic=None, *, name=""):
            return layer.weight

    with pytest.raises(TypeError, match="would become a Parameter, which is no module"):
        apply(Odd(0.5), find_blocks(tiny))


@pytest.mark.parametrize("options", [{"forward": print}, {"batches": [torch.zeros(1, 1)]}])
def test_calibration_takes_both_a_forward_pass_and_tokens(tiny, options):
    with pytest.raises(ValueError, match="give forward and at least one calibration batch"):
        apply(WandaPruning(0.5), find_blocks(tiny), **options)
