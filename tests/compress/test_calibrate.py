"""The walk over blocks: statistics of each layer's inputs, and outputs that are the model's own."""

import copy
from dataclasses import FrozenInstanceError

import pytest
import torch

from compress.calibrate import (
    BlockInput,
    block_inputs,
    calibrated,
    every_layer,
    linear_layers,
    measuring,
    reading_order,
)
from compress.statistics import GramMatrix, SquaredInputs
from models.load import find_blocks
from tests.layers import hooks
from tests.tiny_models import run, tiny_llama


def test_streaming_through_blocks_is_the_model_itself(tiny, tokens):
    blocks = find_blocks(tiny)
    inputs = block_inputs(run(tiny), blocks[0], [tokens])
    last = {}
    hook = blocks[-1].register_forward_hook(
        lambda _m, _a, out: last.update(out=out[0] if isinstance(out, tuple) else out)
    )
    run(tiny)(tokens)
    hook.remove()
    with torch.no_grad():
        for block in blocks:
            inputs = [batch.through(block) for batch in inputs]
    torch.testing.assert_close(inputs[0].hidden, last["out"], rtol=0, atol=0)


def test_every_block_comes_with_its_own_layers_and_no_hooks(tiny, tokens):
    blocks, before = find_blocks(tiny), hooks(tiny)
    seen, inputs = [], block_inputs(run(tiny), blocks[0], [tokens])
    for index, statistics in calibrated(blocks, inputs, SquaredInputs):
        assert hooks(tiny) == before
        seen.append((index, set(statistics)))
    assert seen == [(index, set(linear_layers(block))) for index, block in enumerate(blocks)]


@torch.no_grad()
def test_a_block_is_measured_on_what_the_loops_body_made_of_those_before(tiny, tokens):
    blocks = find_blocks(tiny)
    inputs = block_inputs(run(tiny), blocks[0], [tokens])
    for _ in calibrated(blocks[:2], inputs, SquaredInputs):
        for layer in linear_layers(blocks[0]).values():
            layer.weight.zero_()
    [expected] = block_inputs(run(tiny), blocks[1], [tokens])
    assert torch.equal(inputs[0].hidden, expected.hidden)


@pytest.mark.parametrize("steps", [1, 2])
def test_hooks_come_off_when_the_walk_is_left_or_a_block_fails(tiny, tokens, steps):
    blocks, before = find_blocks(tiny), hooks(tiny)
    walk = calibrated(blocks, block_inputs(run(tiny), blocks[0], [tokens]), SquaredInputs)
    for _ in range(steps):
        next(walk)
    walk.close()
    assert hooks(tiny) == before
    walk = calibrated(blocks, block_inputs(run(tiny), blocks[0], [tokens]), GramMatrix)
    next(walk)
    blocks[1].forward = None
    with pytest.raises(TypeError):
        next(walk)
    assert hooks(tiny) == before


def test_a_cache_of_keys_and_values_is_not_filled_by_calibration(tiny, tokens):
    """Found where a forward pass had its cache on: the second pass through a block read its own first one."""
    blocks = find_blocks(tiny)
    with_cache = block_inputs(lambda batch: tiny(input_ids=batch, use_cache=True), blocks[0], [tokens])
    without = block_inputs(lambda batch: tiny(input_ids=batch, use_cache=False), blocks[0], [tokens])
    for _ in range(2):
        assert torch.equal(with_cache[0].through(blocks[0]).hidden, without[0].through(blocks[0]).hidden)


def test_a_pass_reaches_layers_in_their_order_and_those_that_share_an_input_together(tokens):
    model = tiny_llama()
    block = find_blocks(model)[0]
    stages = reading_order(block, block_inputs(run(model), block, [tokens])[0])
    attention = [f"self_attn.{name}_proj" for name in "qkv"]
    assert stages == [attention, ["self_attn.o_proj"], ["mlp.gate_proj", "mlp.up_proj"], ["mlp.down_proj"]]
    assert not hooks(model)


def test_in_order_a_layer_is_measured_on_what_was_made_of_those_before_it(tiny, tokens):
    """Against whole passes through a model whose earlier layers are gone, layer group by layer group."""
    reference = copy.deepcopy(tiny)
    blocks, theirs = find_blocks(tiny), find_blocks(reference)
    inputs = block_inputs(run(tiny), blocks[0], tokens.split(2))
    with torch.no_grad():
        for index, statistics in calibrated(blocks, inputs, GramMatrix, in_order=True):
            own = {name: theirs[index].get_submodule(name) for name in statistics}
            with measuring(own, GramMatrix) as expected:
                for part in tokens.split(2):
                    run(reference)(part)
            for name, layer in own.items():
                torch.testing.assert_close(statistics[name].sum, expected[name].sum, rtol=0, atol=0)
                for each in (layer, blocks[index].get_submodule(name)):
                    each.weight.mul_(0.5)


def test_in_order_every_layer_comes_once(tiny, tokens):
    blocks = find_blocks(tiny)
    inputs = block_inputs(run(tiny), blocks[0], [tokens])
    names = [(index, name) for index, own in calibrated(blocks, inputs, SquaredInputs, in_order=True) for name in own]
    assert sorted(names) == sorted((i, name) for i, block in enumerate(blocks) for name in linear_layers(block))


@torch.no_grad()
@pytest.mark.parametrize("parts", [1, 2, 4])
def test_every_batch_enters_the_first_block(tiny, tokens, parts):
    blocks = find_blocks(tiny)
    inputs = block_inputs(run(tiny), blocks[0], tokens.split(4 // parts))
    assert len(inputs) == parts and not any(batch.hidden.requires_grad for batch in inputs)
    whole = block_inputs(run(tiny), blocks[0], [tokens])[0].hidden
    torch.testing.assert_close(torch.cat([batch.hidden for batch in inputs]), whole)


def test_inputs_carry_no_gradient_where_a_model_trains(tiny, tokens):
    tiny.requires_grad_(True)
    inputs = block_inputs(run(tiny), find_blocks(tiny)[0], [tokens])
    assert not inputs[0].hidden.requires_grad


def test_hooks_come_off_when_the_forward_pass_fails(tiny, tokens):
    def broken(_batch):
        raise RuntimeError("before the first block")

    before = hooks(tiny)
    with pytest.raises(RuntimeError, match="before the first block"):
        block_inputs(broken, find_blocks(tiny)[0], [tokens])
    layers = linear_layers(find_blocks(tiny)[0])
    with pytest.raises(RuntimeError, match="inside"), measuring(layers, SquaredInputs):
        raise RuntimeError("inside")
    assert hooks(tiny) == before


def test_only_chosen_layers_are_listed_measured_and_ordered(tiny, tokens):
    block = find_blocks(tiny)[0]

    def chosen(name, layer):
        return layer.in_features == 24 and "fc" not in name

    names = set(linear_layers(block, chosen))
    assert names and names < set(linear_layers(block)) == set(linear_layers(block, every_layer))
    inputs = block_inputs(run(tiny), block, [tokens])
    assert {name for stage in reading_order(block, inputs[0], chosen) for name in stage} == names
    for in_order in (False, True):
        walk = calibrated([block], list(inputs), SquaredInputs, chosen, in_order=in_order)
        assert {name for _, statistics in walk for name in statistics} == names


def test_blocks_that_are_done_are_not_measured_and_those_after_them_are(tiny, tokens):
    blocks = find_blocks(tiny)
    whole, rest = (
        {
            (index, name): statistic
            for index, statistics in calibrated(
                blocks, block_inputs(run(tiny), blocks[0], [tokens]), SquaredInputs, **more
            )
            for name, statistic in statistics.items()
        }
        for more in ({}, {"done": lambda index: index < 2})
    )
    for (index, name), statistic in rest.items():
        assert statistic.tokens == (64 if index == 2 else 0)
        assert index < 2 or torch.equal(statistic.sum, whole[index, name].sum)


def test_an_input_moves_along_with_all_that_goes_with_it():
    batch = BlockInput(torch.ones(1, 2), (3,), {"shift": 1})
    assert batch.through(lambda hidden, by, shift: hidden * by + shift).hidden.tolist() == [[4, 4]]
    moved = batch.through(lambda hidden, by, shift: (hidden * by, "attention weights"))
    assert moved.hidden.tolist() == [[3, 3]] and (moved.args, moved.kwargs) == ((3,), {"shift": 1})
    with pytest.raises(FrozenInstanceError):
        batch.hidden = None


def test_a_walk_through_a_model_that_trains_keeps_no_graph(tiny, tokens):
    tiny.requires_grad_(True)
    blocks = find_blocks(tiny)
    inputs = block_inputs(run(tiny), blocks[0], [tokens])
    for _, statistics in calibrated(blocks, inputs, GramMatrix, in_order=True):
        assert not any(statistic.sum.requires_grad for statistic in statistics.values())
    assert not inputs[0].hidden.requires_grad
