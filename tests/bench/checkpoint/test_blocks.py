"""Blocks compared one by one: what is damaged stands alone, and what is not departs by nothing."""

import copy
from dataclasses import replace

import pytest
import torch
from transformers import LlamaForCausalLM

from bench.checkpoint.blocks import block_states, departures
from bench.verdict.grades import bad_blocks
from models.load import Decoder, find_blocks
from tests.tiny_models import tiny_gpt2, tiny_llama

TOKENS = torch.randint(0, 97, (2, 20), generator=torch.Generator().manual_seed(4))


def decoder(model):
    head = model.get_output_embeddings()
    return Decoder("tiny", "", model, None, find_blocks(model), head, 128)


@pytest.fixture(params=[tiny_llama, tiny_gpt2])
def pair(request):
    """The same model twice."""
    return decoder(request.param()), decoder(request.param())


def test_the_dense_model_departs_from_itself_by_nothing(pair):
    found = departures(pair[1], block_states(pair[0], TOKENS))
    assert found.embedding == 0 and found.blocks == [0, 0, 0]


def test_departures_are_those_of_blocks_run_by_hand(pair):
    dense, changed = pair
    with torch.no_grad():
        for parameter in changed.blocks[1].parameters():
            parameter.mul_(1.5)
    states = block_states(dense, TOKENS)
    found = departures(changed, states)
    assert found.blocks[0] == found.blocks[2] == 0
    given, expected = states.leaving[0], states.leaving[1]
    changed.blocks[0].register_forward_hook(lambda _block, _arguments, _output: given)  # what the second then reads
    kept = []
    changed.blocks[1].register_forward_hook(lambda _block, _arguments, output: kept.append(output))
    changed.hidden(TOKENS)
    output = kept[0][0] if isinstance(kept[0], tuple) else kept[0]
    relative = (output - expected).double().norm(dim=-1) / (expected - given).double().norm(dim=-1)
    assert found.blocks[1] == pytest.approx(float(relative[:, 1:].quantile(0.5)), rel=1e-6)


def test_measuring_leaves_no_hook(pair):
    dense, other = pair
    departures(other, block_states(dense, TOKENS))
    assert not any(block._forward_hooks or block._forward_pre_hooks for each in pair for block in each.blocks)


def test_swapped_blocks_are_named():
    config = tiny_llama().config
    config.num_hidden_layers = 6
    torch.manual_seed(0)
    dense = LlamaForCausalLM(config).eval()
    swapped = copy.deepcopy(dense)
    blocks = swapped.model.layers
    blocks[2], blocks[4] = blocks[4], blocks[2]
    found = departures(decoder(swapped), block_states(decoder(dense), TOKENS))
    assert bad_blocks(found.blocks) == [2, 4]


def test_a_changed_embedding_shows_in_the_embedding_alone(pair):
    dense, changed = pair
    with torch.no_grad():
        changed.model.get_input_embeddings().weight.mul_(2)
    found = departures(changed, block_states(dense, TOKENS))
    assert found.embedding > 0.1 and found.blocks == [0, 0, 0]


def test_models_of_other_depth_or_width_are_not_compared(pair):
    dense, other = pair
    states = block_states(dense, TOKENS)
    assert departures(replace(other, blocks=other.blocks[:2]), states) is None
    wider = replace(states, entering=torch.zeros(2, 20, 25))
    assert departures(other, wider) is None
