"""The first position's values left dense: only they change."""

import pytest
import torch

from compress.calibrate import linear_layers
from compress.quantization.first_values import FirstValueDense, FirstValuesDense
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerGroup
from compress.quantization.rounding import RoundToNearest
from compress.swap import compressed
from models.load import find_blocks, use_linear_layers
from tests.tiny_models import run, tiny_gpt2, tiny_llama

ROUNDING = RoundToNearest(2, PerGroup(8))


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
