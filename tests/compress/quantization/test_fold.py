"""Input scales move into what comes before: the same outputs, weights on their grid, and all of it undone."""

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from compress.calibrate import block_inputs, linear_layers
from compress.layers import SimulatedLinear, WeightGrid, changing_inputs, grids_of
from compress.quantization.awq import AWQ
from compress.quantization.fold import fold_scales, producers
from compress.quantization.grouping import PerGroup
from compress.size import dense_storage
from compress.swap import Compression, apply
from models.load import find_blocks, load
from models.save import save_packed
from tests.tiny_models import VOCABULARY, run, saved

EXPECTED = {
    "GPT2LMHeadModel": {"attn.c_attn": "ln_1", "mlp.c_fc": "ln_2"},
    "LlamaForCausalLM": {
        **{f"self_attn.{name}_proj": "input_layernorm" for name in "qkv"},
        "mlp.gate_proj": "post_attention_layernorm",
        "mlp.up_proj": "post_attention_layernorm",
        "mlp.down_proj": "mlp.up_proj",
    },
    "OPTForCausalLM": {
        **{f"self_attn.{name}_proj": "self_attn_layer_norm" for name in "qkv"},
        "self_attn.out_proj": "self_attn.v_proj",
        "fc1": "final_layer_norm",
        "fc2": "fc1",
    },
}
"""GPT-2's GELU keeps its last matrix apart, and Llama's shared values its attention's."""


def before(model, tokens):
    block = find_blocks(model)[0]
    return producers(block, block_inputs(run(model), block, [tokens])[0])


def test_what_comes_before_is_found_in_every_family(tiny, tokens):
    state = {name: value.clone() for name, value in tiny.state_dict().items()}
    assert before(tiny, tokens) == EXPECTED[type(tiny).__name__]
    assert all(torch.equal(value, state[name]) for name, value in tiny.state_dict().items())


@torch.no_grad()
def test_folded_models_give_the_same_logits_and_come_back(tiny, tokens):
    dense, blocks, producer = tiny(tokens).logits, find_blocks(tiny), before(tiny, tokens)
    layers = {name: layer for block in blocks for name, layer in linear_layers(block).items()}
    outcome = apply(AWQ(4, PerGroup(8), before=producer), blocks, forward=run(tiny), batches=[tokens * 7 % VOCABULARY])
    scaled = [layer for block in blocks for layer in linear_layers(block).values() if layer.input_scale is not None]
    assert len(scaled) >= len(blocks), "the search chose r = 0 nearly everywhere, so this shows nothing"
    compressed = tiny(tokens).logits
    assert fold_scales(outcome, blocks, producer) == len(scaled)
    torch.testing.assert_close(tiny(tokens).logits, compressed, rtol=1e-4, atol=1e-5)
    for block in blocks:
        for name, layer in linear_layers(block).items():
            assert layer.input_scale is None
            _on_its_grid(layer, name)
    outcome.undo()
    assert torch.equal(tiny(tokens).logits, dense)
    assert all(layer in set(linear_layers(blocks[-1]).values()) for layer in layers.values())


def _on_its_grid(layer, name):
    groups = layer.weight.view(len(layer.weight), -1, layer.grid.size)
    codes = groups / layer.grid.scales[..., None] + layer.grid.zero_points[..., None]
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-3, msg=name)
    assert codes.min() > -0.5 and codes.max() < 15.5


@torch.no_grad()
def test_unfolded_awq_is_the_same_layer(tiny, tokens):
    """Where scales can be folded everywhere, taking them out of the weights again gives the same outputs."""
    logits = {}
    for producer in (None, dict.fromkeys(linear_layers(find_blocks(tiny)[0]), "anything")):
        outcome = apply(AWQ(4, PerGroup(8), before=producer), find_blocks(tiny), forward=run(tiny), batches=[tokens])
        logits[producer is None] = tiny(tokens).logits
        outcome.undo()
    torch.testing.assert_close(logits[True], logits[False], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_folded_model_is_packed_and_opens(tiny, tokens, tmp_path):
    blocks, producer = find_blocks(tiny), before(tiny, tokens)
    outcome = apply(AWQ(4, PerGroup(8), before=producer), blocks, forward=run(tiny), batches=[tokens])
    fold_scales(outcome, blocks, producer)
    if type(tiny).__name__ == "GPT2LMHeadModel":
        pytest.skip("the packed format has no place for GPT-2's transposed layers")
    tokenizer = load(str(saved(AutoModelForCausalLM.from_config(tiny.config), tmp_path / "plain"))).tokenizer
    names = changing_inputs(tiny)
    save_packed(tiny, tokenizer, tmp_path / "packed", grids=grids_of(tiny), changing_inputs=names)
    torch.testing.assert_close(load(str(tmp_path / "packed")).model(tokens).logits, tiny(tokens).logits)


def test_scales_that_differ_are_refused():
    def layer(scale):
        weight = torch.ones(4, 4)
        return SimulatedLinear(weight, None, storage=dense_storage(weight), input_scale=scale)

    block = nn.ModuleDict({"norm": nn.LayerNorm(4), "q": layer(torch.full((4,), 2.0)), "k": layer(torch.ones(4))})
    with pytest.raises(ValueError, match="block 0: the layers that read norm have different scales"):
        fold_scales(Compression(), [block], {"q": "norm", "k": "norm"})
    block["k"] = nn.Linear(4, 4)
    with pytest.raises(ValueError, match="different scales"):
        fold_scales(Compression(), [block], {"q": "norm", "k": "norm"})


def folded(*, bias, grid):
    """A producer of four outputs with a reader that has a scale, folded."""
    scale = torch.tensor([1.0, 2.0, 4.0, 8.0])
    weight = torch.arange(1.0, 13).view(4, 3)
    own = WeightGrid(4, 3, False, torch.ones(4, 1), torch.zeros(4, 1)) if grid else None
    producer = SimulatedLinear(weight, torch.ones(4) if bias else None, storage=dense_storage(weight), grid=own)
    reader = SimulatedLinear(torch.eye(4), None, storage=dense_storage(torch.eye(4)), input_scale=scale)
    block, outcome = nn.ModuleDict({"up": producer, "down": reader}), Compression()
    inputs = torch.ones(2, 3)
    before = reader(producer(inputs))
    count = fold_scales(outcome, [block], {"down": "up"})
    return block, outcome, count, before, inputs, scale


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("grid", [False, True])
def test_a_scale_moves_into_weight_bias_and_grid_of_what_comes_before(bias, grid):
    block, outcome, count, before, inputs, scale = folded(bias=bias, grid=grid)
    producer = block["up"]
    assert count == 1 and block["down"].input_scale is None
    torch.testing.assert_close(block["down"](producer(inputs)), before)
    torch.testing.assert_close(producer.weight, torch.arange(1.0, 13).view(4, 3) / scale[:, None])
    assert (producer.bias is None) == (not bias) and (producer.grid is None) == (not grid)
    if bias:
        torch.testing.assert_close(producer.bias, 1 / scale)
    if grid:
        torch.testing.assert_close(producer.grid.scales, 1 / scale[:, None])
    outcome.undo()
    assert torch.equal(block["down"].input_scale, scale) and torch.equal(block["down"](producer(inputs)), before)
    assert producer.weight[0, 0] == 1 and (not grid or (producer.grid.scales == 1).all())


def test_layers_without_scales_leave_what_comes_before_as_it_is():
    block = nn.ModuleDict({"norm": nn.LayerNorm(4), "q": nn.Linear(4, 4), "k": nn.Linear(4, 4)})
    weight = block["norm"].weight
    assert fold_scales(Compression(), [block, block], {"q": "norm", "k": "norm"}) == 0
    assert block["norm"].weight is weight


def test_every_blocks_layers_are_counted():
    def reader():
        return SimulatedLinear(
            torch.eye(4), None, storage=dense_storage(torch.eye(4)), input_scale=torch.full((4,), 2.0)
        )

    blocks = [nn.ModuleDict({"norm": nn.LayerNorm(4), "q": reader(), "k": reader()}) for _ in range(3)]
    assert fold_scales(Compression(), blocks, {"q": "norm", "k": "norm"}) == 6
    assert all((block["norm"].weight == 0.5).all() and block["q"].input_scale is None for block in blocks)
