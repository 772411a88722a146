"""The first position's values left dense: only they change."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import nn

from compress.calibrate import linear_layers
from compress.pruning.magnitude import ComparisonGroup, MagnitudePruning
from compress.quantization.first_values import FirstValueDense, FirstValuesDense
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerGroup
from compress.quantization.rounding import RoundToNearest
from compress.statistics import GramMatrix, gram_matrix
from compress.swap import compressed
from models.load import find_blocks, use_linear_layers
from tests.tiny_models import run, tiny_gpt2, tiny_llama

ROUNDING, ROUNDING_OF_FOUR = RoundToNearest(2, PerGroup(8)), RoundToNearest(2, PerGroup(4))


def test_only_the_first_token_is_the_dense_layers():
    layer = linear_layers(find_blocks(tiny_llama())[0])["self_attn.v_proj"]
    rounded = ROUNDING(layer, name="0.self_attn.v_proj")
    patched = FirstValueDense(rounded, layer)
    inputs = torch.randn(2, 5, layer.in_features, generator=torch.Generator().manual_seed(0))
    assert torch.equal(patched(inputs)[:, 0], layer(inputs[:, :1])[:, 0])
    assert torch.equal(patched(inputs)[:, 1:], rounded(inputs)[:, 1:])
    assert patched.storage == rounded.storage and patched.sparsity() == rounded.sparsity()


@torch.no_grad()
def test_value_projections_are_patched_and_every_other_layer_is_compressed():
    model = tiny_llama()
    blocks = find_blocks(model)
    with compressed(FirstValuesDense(ROUNDING), blocks) as outcome:
        kinds = {
            name: type(block.get_submodule(name)).__name__ for block in blocks[:1] for name in linear_layers(block)
        }
        patched = [layer.name for layer in outcome.compressed if layer.name.endswith("v_proj")]
    assert len(patched) == len(blocks)
    assert kinds["self_attn.q_proj"] == "SimulatedLinear"


@torch.no_grad()
@pytest.mark.parametrize("sequential", [False, True])
def test_it_goes_with_methods_that_calibrate_and_comes_off(tokens, sequential):
    model = tiny_llama()
    before = model(input_ids=tokens).logits
    method = FirstValuesDense(GPTQ(3, PerGroup(8), true_sequential=sequential))
    with compressed(method, find_blocks(model), forward=run(model), batches=[tokens]):
        assert not torch.equal(model(input_ids=tokens).logits, before)
    assert torch.equal(model(input_ids=tokens).logits, before)


def test_a_model_whose_values_have_no_layer_of_their_own_is_refused():
    model = tiny_gpt2()
    use_linear_layers(model)
    with (
        pytest.raises(ValueError, match="no layer is called v_proj"),
        compressed(FirstValuesDense(ROUNDING), find_blocks(model)),
    ):
        pass


def test_it_takes_after_its_method_in_all_but_being_kept():
    plain = FirstValuesDense(ROUNDING)
    calibrating = FirstValuesDense(GPTQ(3, true_sequential=True, first_token_weight=5.0))
    assert (plain.statistic, plain.measures(), plain.true_sequential, plain.resumable) == (None, None, False, False)
    assert calibrating.statistic is GramMatrix and calibrating.measures() is gram_matrix(5.0)
    assert calibrating.true_sequential and not calibrating.resumable
    assert str(plain) == f"{ROUNDING}-first-values-dense"
    with pytest.raises(FrozenInstanceError):
        plain.method = None


def test_a_comparison_over_the_model_is_patched_too():
    layers = {"0.v_proj": nn.Linear(4, 4), "0.q_proj": nn.Linear(4, 4)}
    method = FirstValuesDense(MagnitudePruning(0.5, ComparisonGroup.MODEL))
    whole = method.across(layers)
    assert isinstance(whole, FirstValuesDense) and whole != method
    made = whole.method.across(layers)
    assert sum(int((made(layer, name=name).weight == 0).sum()) for name, layer in layers.items()) == 16


def test_every_later_token_and_every_sequence_is_the_compressed_layers():
    layer = nn.Linear(4, 3)
    patched = FirstValueDense(ROUNDING_OF_FOUR(layer), layer)
    inputs = torch.randn(3, 1, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(patched(inputs), layer(inputs)), "one token is the first"
