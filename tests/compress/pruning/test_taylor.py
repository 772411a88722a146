"""LLM-Pruner's importance: exact on a quadratic loss, sums over coupled weights, and groups that go whole."""

import copy
from dataclasses import FrozenInstanceError

import pytest
import torch

from compress.calibrate import linear_layers
from compress.gradients import GradientSums, gradient_sums
from compress.pruning.structured import StructuredPruning, attention_layers
from compress.pruning.taylor import Grain, Order, TaylorPruning, vector_importance, weight_changes
from compress.swap import apply
from models.load import find_blocks
from tests.layers import random
from tests.tiny_models import tiny_llama


def sums_of(gradient, squares):
    """Sums over one batch."""
    sums = GradientSums(gradient)
    sums.sum, sums.squares, sums.batches = gradient, squares, 1
    return sums


def model_sums(model, tokens):
    """Gradients of a loss by all layers in the blocks."""
    layers = {
        f"{i}.{name}": layer for i, b in enumerate(find_blocks(model)) for name, layer in linear_layers(b).items()
    }
    run = lambda t: model(input_ids=t, labels=t, use_cache=False).loss  # noqa: E731
    return gradient_sums(layers, run, tokens.split(1))


def test_the_second_order_change_is_exact_on_a_quadratic_loss():
    """Of `L = Σ a w + h w² / 2` without a weight: `L(w) - L(0) = g w - h w² / 2`, with g = a + h w."""
    weight, slope, curvature = random(3, 4), random(3, 4, seed=1), random(3, 4, seed=2).square()
    sums = sums_of(slope + curvature * weight, curvature)
    change = slope * weight + curvature * weight.square() / 2
    torch.testing.assert_close(weight_changes(weight, sums, Order.SECOND), change.float(), check_dtype=False)
    first = weight_changes(weight, sums, Order.FIRST)
    torch.testing.assert_close(first, ((slope + curvature * weight) * weight).float(), check_dtype=False)


def test_changes_cancel_within_a_vector_and_not_between_elements():
    changes = torch.tensor([[1.0, -1.0], [2.0, 3.0]])
    assert vector_importance(changes, 1, Grain.ELEMENT).tolist() == [2.0, 5.0]
    assert vector_importance(changes, 1, Grain.VECTOR).tolist() == [0.0, 5.0]
    assert vector_importance(changes, 0, Grain.VECTOR).tolist() == [3.0, 2.0]


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("grain", Grain)
def test_channels_of_the_smallest_sum_over_gate_up_and_down_go(tokens, order, grain):
    model = tiny_llama()
    sums = model_sums(model, tokens)
    whole = copy.deepcopy(model)
    apply(TaylorPruning(0.3, order, grain).informed(sums), find_blocks(model), model=model)
    for index, (block, before) in enumerate(zip(find_blocks(model), find_blocks(whole), strict=True)):
        importance = torch.zeros(40, dtype=torch.float64)
        for name, axis in (("gate_proj", 1), ("up_proj", 1), ("down_proj", 0)):
            own, weight = sums[f"{index}.mlp.{name}"], before.mlp.get_submodule(name).weight.double()
            changes = own.sum.double() / 4 * weight
            if order is Order.SECOND:
                changes = changes - own.squares.double() / 4 * weight.square() / 2
            importance += changes.abs().sum(axis) if grain is Grain.ELEMENT else changes.sum(axis).abs()
        stay = importance.argsort()[12:].sort().values
        assert torch.equal(block.mlp.up_proj.weight, before.mlp.up_proj.weight[stay])
        assert torch.equal(block.mlp.gate_proj.weight, before.mlp.gate_proj.weight[stay])
        assert torch.equal(block.mlp.down_proj.weight, before.mlp.down_proj.weight[:, stay])
        assert torch.equal(block.self_attn.q_proj.weight, before.self_attn.q_proj.weight)


def test_a_channel_that_does_nothing_goes_first_in_every_family(tiny, tokens):
    downs = {"Llama": "mlp.down_proj", "GPT2": "mlp.c_proj", "OPT": "fc2"}
    name = next(down for family, down in downs.items() if type(tiny).__name__.startswith(family))
    blocks = find_blocks(tiny)
    with torch.no_grad():
        for block in blocks:
            block.get_submodule(name).weight[:, 5] = 0
    width = blocks[0].get_submodule(name).in_features
    expected = tiny(input_ids=tokens).logits
    apply(TaylorPruning(1 / width).informed(model_sums(tiny, tokens)), blocks, model=tiny)
    assert blocks[0].get_submodule(name).in_features == width - 1
    torch.testing.assert_close(tiny(input_ids=tokens).logits, expected)


def test_heads_that_nothing_reads_go_whole_in_every_family(tiny, tokens):
    """What makes them has no gradient and what reads them no weight, so that half of the groups matter nothing."""
    blocks, width = find_blocks(tiny), tiny.config.hidden_size // tiny.config.num_attention_heads
    half = tiny.config.hidden_size // 2
    names = [attention_layers(linear_layers(block)) for block in blocks]
    with torch.no_grad():
        for block, (_, out) in zip(blocks, names, strict=True):
            block.get_submodule(out).weight[:, :half] = 0
    whole, sums = copy.deepcopy(tiny), model_sums(tiny, tokens)
    apply(TaylorPruning(0.5, head_width=width).informed(sums), blocks, model=tiny)
    for block, before, (into, out) in zip(blocks, find_blocks(whole), names, strict=True):
        assert torch.equal(block.get_submodule(out).weight, before.get_submodule(out).weight[:, half:])
        for name in into:
            runs = 3 if len(into) == 1 else 1
            rows = before.get_submodule(name).weight.unflatten(0, (runs, -1))
            kept = rows[:, rows.shape[1] // 2 :].flatten(0, 1)
            assert torch.equal(block.get_submodule(name).weight, kept)
    assert tiny(input_ids=tokens).logits.isfinite().all()


@pytest.mark.parametrize("part", ["q_proj", "k_proj", "v_proj", "o_proj"])
@pytest.mark.parametrize("group", [0, 1])
def test_each_projection_counts_for_its_group_of_heads(tokens, part, group):
    """Only one projection has gradients, and those of one group alone: the other group goes."""
    model = tiny_llama()
    blocks, sums = find_blocks(model), model_sums(model, tokens)
    for name, own in sums.items():
        counts = torch.zeros_like(own.sum)
        if name.endswith(part):
            halves = counts.chunk(2, dim=1 if part == "o_proj" else 0)
            halves[group].fill_(1)
        own.sum = counts
    dense = [linear_layers(block)["self_attn.o_proj"].weight for block in blocks]
    apply(TaylorPruning(0.5, head_width=6).informed(sums), blocks, model=model)
    for block, weight in zip(blocks, dense, strict=True):
        assert torch.equal(block.self_attn.o_proj.weight, weight.chunk(2, dim=1)[group])


def test_as_many_weights_go_as_by_any_other_importance(tokens):
    model = tiny_llama()
    sums = model_sums(model, tokens)
    outcome = apply(TaylorPruning(0.25).informed(sums), find_blocks(model), model=model)
    storage = outcome.storage
    outcome.undo()
    run = lambda t: model(input_ids=t, use_cache=False)  # noqa: E731
    other = apply(StructuredPruning(0.25), find_blocks(model), forward=run, batches=[tokens], model=model)
    assert other.storage == storage


def test_gradients_are_asked_for_in_a_sentence(tokens):
    model = tiny_llama()
    with pytest.raises(ValueError, match=r"llm-pruner-0\.25-first-element needs gradients of a loss"):
        apply(TaylorPruning(0.25), find_blocks(model))
    sums = model_sums(model, tokens)
    sums.pop("1.mlp.up_proj")
    with pytest.raises(ValueError, match=r"has no gradients of 1\.mlp\.up_proj; give them to gradient_sums"):
        apply(TaylorPruning(0.25).informed(sums), find_blocks(model))
    with pytest.raises(ValueError, match=r"the fraction of channels is 1\.5"):
        TaylorPruning(1.5)
    with pytest.raises(FrozenInstanceError):
        TaylorPruning(0.5).fraction = 0.1
    assert str(TaylorPruning(0.25, Order.SECOND, Grain.VECTOR, 4)) == "llm-pruner-0.25-second-vector-heads"
