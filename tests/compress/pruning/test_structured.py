"""Structured pruning: smaller matrices equal zeroed ones."""

import copy
from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from compress.calibrate import linear_layers
from compress.pruning.structured import (
    Kept,
    StructuredPruning,
    attention_layers,
    channel_importance,
    mlp_layers,
)
from compress.statistics import SquaredInputs
from compress.swap import apply
from models.load import find_blocks
from tests.layers import layer_of, measured


def llama(seed=0):
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64,
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=6,
            num_key_value_heads=3,
            max_position_embeddings=64,
        )
    ).eval()


def tokens(seed=0, shape=(2, 16)):
    return torch.randint(64, shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
@pytest.mark.parametrize("head_width", [None, 4])
def test_smaller_matrices_equal_zeroed_ones(head_width):
    model = llama()
    zeroed = copy.deepcopy(model)
    blocks = model.model.layers
    outcome = apply(
        StructuredPruning(0.4, head_width),
        blocks,
        forward=lambda t: model(input_ids=t, use_cache=False),
        batches=[tokens(1)],
        model=model,
    )
    assert blocks[0].mlp.down_proj.weight.shape == (24, 24)
    assert blocks[0].mlp.gate_proj.weight.shape == (24, 24)
    for small, whole in zip(blocks, zeroed.model.layers, strict=True):
        rows = _rows(whole.mlp.up_proj.weight, small.mlp.up_proj.weight)
        whole.mlp.down_proj.weight[:, ~rows] = 0
        if head_width:
            assert small.self_attn.k_proj.weight.shape == (8, 24) and small.self_attn.o_proj.weight.shape == (24, 16)
            kept = _rows(whole.self_attn.q_proj.weight, small.self_attn.q_proj.weight)
            whole.self_attn.o_proj.weight[:, ~kept] = 0
    torch.testing.assert_close(model(tokens(2)).logits, zeroed(tokens(2)).logits)
    assert outcome.storage.held_bits == outcome.storage.total_bits < 32 * outcome.storage.weights
    before = llama()(tokens(2)).logits
    outcome.undo()
    assert torch.equal(model(tokens(2)).logits, before)


def _rows(whole, part):
    return (whole[:, None] == part[None]).all(-1).any(1)


@torch.no_grad()
def test_heads_go_whole_in_every_family(tiny, tokens):
    """Any family's attention with fewer heads is the whole one with those heads' outputs unread."""
    blocks, width = find_blocks(tiny), tiny.config.hidden_size // tiny.config.num_attention_heads
    zeroed, before = copy.deepcopy(tiny), tiny(tokens).logits
    outcome = apply(
        StructuredPruning(0.5, width), blocks, forward=lambda t: tiny(input_ids=t, use_cache=False), batches=[tokens]
    )
    for small, whole in zip(blocks, find_blocks(zeroed), strict=True):
        layers, dense = linear_layers(small), linear_layers(whole)
        (down, _), (into, out) = mlp_layers(dense), attention_layers(dense)
        for name in (down, out):
            kept = _rows(dense[name].weight.T, layers[name].weight.T)
            assert 0 < kept.sum() < len(kept) and (name == down or len(kept.view(-1, width).unique(dim=1).T) == 1)
            dense[name].weight[:, ~kept] = 0
        fused = 3 if len(into) == 1 else 1
        assert layers[into[0]].out_features == fused * layers[out].in_features < dense[into[0]].out_features
    torch.testing.assert_close(tiny(tokens).logits, zeroed(tokens).logits)
    outcome.undo()
    assert torch.equal(tiny(tokens).logits, before)


def test_the_least_important_channels_go():
    model = llama()
    block = model.model.layers[0]
    with torch.no_grad():
        block.mlp.down_proj.weight[:, 10:] *= 1e-3
    apply(
        StructuredPruning(0.75),
        [block],
        forward=lambda t: model(input_ids=t, use_cache=False),
        batches=[tokens()],
        model=model,
    )
    assert torch.equal(block.mlp.down_proj.weight, llama().model.layers[0].mlp.down_proj.weight[:, :10])


def test_structured_refusals():
    with pytest.raises(ValueError, match="no MLP"):
        mlp_layers({"q": nn.Linear(8, 8), "o": nn.Linear(8, 8)})
    with pytest.raises(ValueError, match="heads can be dropped"):
        attention_layers({"fc": nn.Linear(4, 8)})
    with pytest.raises(ValueError, match="below 1"):
        StructuredPruning(1.0)


def test_importance_is_the_energy_that_an_input_gives_to_the_outputs():
    weight, squares = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, 0.5]]), torch.tensor([1.0, 4.0, 2.0])
    assert channel_importance(weight, squares).tolist() == [10.0, 16.0, 1.0]
    inputs = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    energy = torch.stack([(inputs[:, [j]] @ weight[:, [j]].T).square().sum(1).mean() for j in range(3)])
    torch.testing.assert_close(channel_importance(weight, inputs.square().mean(0)), energy)


def test_an_mlp_is_the_widest_space_that_others_lead_into():
    layers = {"q": nn.Linear(8, 8), "o": nn.Linear(8, 8), "up": nn.Linear(8, 20), "gate": nn.Linear(8, 20)}
    assert mlp_layers({**layers, "down": nn.Linear(20, 8)}) == ("down", ["up", "gate"])
    wide = {**layers, "down": nn.Linear(20, 8), "a": nn.Linear(8, 30), "b": nn.Linear(30, 8)}
    assert mlp_layers(wide) == ("b", ["a"])
    narrow = {"into": nn.Linear(8, 3), "out": nn.Linear(3, 8)}
    assert mlp_layers(narrow) == ("into", ["out"]), "the wider side decides, also where a bottleneck is all there is"


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.99])
def test_runs_go_whole_and_one_stays_always(fraction):
    importance = torch.tensor([5.0, 0.0, 1.0, 1.0, 9.0, 9.0, 3.0, 0.0])
    stay = StructuredPruning(fraction)._stay(importance, 2)
    gone = {0.0: [], 0.3: [1], 0.99: [0, 1, 3]}[fraction]
    assert stay.view(4, 2).all(1).tolist() == [run not in gone for run in range(4)]
    assert torch.equal(stay.view(4, 2).all(1), stay.view(4, 2).any(1))


def test_names_and_settings():
    assert [str(StructuredPruning(0.25)), str(StructuredPruning(0.25, 4))] == [
        "structured-0.25",
        "structured-0.25-heads",
    ]
    for value, name in ((StructuredPruning(0.25), "fraction"), (Kept(), "inputs")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)


def test_attention_is_known_by_the_names_of_its_layers():
    separate = {f"attn.{name}": nn.Linear(4, 4) for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
    assert attention_layers(separate) == (["attn.q_proj", "attn.k_proj", "attn.v_proj"], "attn.out_proj")
    fused = {"attn.c_attn": nn.Linear(4, 12), "attn.c_proj": nn.Linear(4, 4), "mlp.c_proj": nn.Linear(8, 4)}
    assert attention_layers(fused) == (["attn.c_attn"], "attn.c_proj")


@pytest.mark.parametrize(("width", "keys"), [(1, 6), (2, 6), (3, 3), (1, 3)])
def test_heads_that_share_keys_go_with_them_whatever_their_width(width, keys):
    """Heads of one feature with keys of their own are the smallest there are."""
    shapes = {"q_proj": (6, 6), "k_proj": (keys, 6), "v_proj": (keys, 6), "o_proj": (6, 6)}
    shapes |= {"up": (10, 6), "down": (6, 10)}
    generator = torch.Generator().manual_seed(0)
    layers = {name: layer_of(torch.randn(shape, generator=generator)) for name, shape in shapes.items()}
    statistics = {
        name: measured(layer, torch.randn(30, layer.in_features, generator=generator), SquaredInputs)
        for name, layer in layers.items()
    }
    made = StructuredPruning(0.34, width).compress_block(layers, statistics)
    runs = keys // width
    gone = round(0.34 * runs)
    assert made["k_proj"].out_features == made["v_proj"].out_features == keys - gone * width
    assert made["q_proj"].out_features == made["o_proj"].in_features == 6 - gone * 6 // runs
    kept = _rows(layers["q_proj"].weight, made["q_proj"].weight).view(runs, -1)
    of_keys = _rows(layers["k_proj"].weight, made["k_proj"].weight).view(runs, -1)
    assert torch.equal(kept.all(1), kept.any(1)) and torch.equal(of_keys.all(1), kept.any(1))


@pytest.mark.parametrize("missing", ["q_proj", "k_proj", "v_proj", "o_proj", "c_attn"])
def test_attention_that_lacks_a_layer_is_refused(missing):
    layers = {name: nn.Linear(4, 4) for name in ("q_proj", "k_proj", "v_proj", "o_proj")}
    if missing == "c_attn":
        layers = {"attn.c_proj": nn.Linear(4, 4)}
    layers.pop(missing, None)
    with pytest.raises(ValueError, match="heads can be dropped where"):
        attention_layers(layers)
