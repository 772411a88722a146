"""Smaller matrices equal zeroed ones; what Deep Compression codes comes back exactly."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from compress.calibrate import linear_layers
from compress.coding import Coded, DeepCompression, canonical_codes, code, code_lengths, decode, shared_values
from compress.pruning.structured import StructuredPruning, attention_layers, mlp_layers
from compress.swap import apply
from models.load import find_blocks


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
    found = apply(
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
    assert found.storage.held_bits == found.storage.total_bits < 32 * found.storage.weights
    before = llama()(tokens(2)).logits
    found.undo()
    assert torch.equal(model(tokens(2)).logits, before)


def _rows(whole, part):
    return (whole[:, None] == part[None]).all(-1).any(1)


@torch.no_grad()
def test_heads_go_whole_in_every_family(tiny, tokens):
    """Any family's attention with fewer heads is the whole one with those heads' outputs unread."""
    blocks, width = find_blocks(tiny), tiny.config.hidden_size // tiny.config.num_attention_heads
    zeroed, before = copy.deepcopy(tiny), tiny(tokens).logits
    found = apply(
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
    found.undo()
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
        StructuredPruning(0.5, 4)._heads({"fc": nn.Linear(4, 8)}, {}, 4)
    with pytest.raises(ValueError, match="below 1"):
        StructuredPruning(1.0)
    with pytest.raises(ValueError, match="at once"):
        StructuredPruning(0.5)(nn.Linear(4, 4), None)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30).filter(any))
@settings(max_examples=100)
def test_huffman_is_prefix_free_and_no_longer_than_flat(counts):
    lengths = code_lengths(counts)
    used = [length for length in lengths if length]
    assert sum(2.0**-length for length in used) == (1 if len(used) > 1 else 0.5)  # Kraft, with equality
    codes = canonical_codes(lengths)
    assert not any(a != b and b.startswith(a) for a in codes.values() for b in codes.values())
    total, p = sum(counts), np.array([c for c in counts if c]) / sum(counts)
    bits = sum(a * b for a, b in zip(counts, lengths, strict=True))
    entropy = float(-(p * np.log2(p)).sum()) * total
    assert entropy - 1e-6 <= bits <= max(entropy + total, total) + 1e-6


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.5, 0.95]), st.sampled_from([2, 4]))
@settings(max_examples=30, deadline=None)
def test_coding_comes_back_exactly(seed, sparsity, bits):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(9, 50, generator=generator)
    weight[torch.rand(9, 50, generator=generator) < sparsity] = 0
    if not weight.any():
        weight[8, 49] = 1
    coded = code(weight, bits)
    streams = coded.encode()
    symbols = [
        decode(stream, code_lengths(np.bincount(original, minlength=size).tolist()))
        for stream, original, size in zip(streams, (coded.values, coded.gaps), (2**bits + 1, 32), strict=True)
    ]
    again = Coded(coded.shape, coded.centres, *symbols).weight()
    assert (again == coded.weight()).all()
    assert ((again != 0) == (weight.numpy() != 0)).all() or 0 in coded.centres
    tables = (2**bits + 1 + 32) * 8 + 2**bits * 32
    assert coded.bits() == sum(map(len, streams)) + tables
    nearest = torch.from_numpy(coded.centres)[:, None].sub(weight[weight != 0]).abs().amin(0)
    torch.testing.assert_close((torch.from_numpy(again) - weight)[weight != 0].abs(), nearest, rtol=1e-4, atol=1e-6)


def test_shared_values_settle_and_never_worsen():
    values = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    centres, chosen = shared_values(values, 8)
    means = torch.stack([values[chosen == k].mean() for k in range(8)])
    torch.testing.assert_close(centres, means, rtol=1e-2, atol=1e-2)
    grid = torch.linspace(float(values.min()), float(values.max()), 8)
    flat = (values[:, None] - grid).abs().amin(1).square().mean()
    assert (values - centres[chosen]).square().mean() < flat / 2
    alone, place = shared_values(torch.tensor([2.0, 2.0]), 4)
    assert alone[place].tolist() == [2, 2]


def test_deep_compression_counts_what_it_codes():
    layer = nn.Linear(64, 32)
    found = DeepCompression(0.9, 4)(layer)
    assert found.sparsity() == pytest.approx(0.9, abs=1e-3)
    assert len(found.weight.unique()) <= 17
    assert found.storage.bits_per_weight < 2
    with pytest.raises(ValueError, match="nothing to code"):
        code(torch.zeros(3, 3), 4)
    with pytest.raises(ValueError, match="cut off"):
        decode("1", [2, 2, 2, 2])
