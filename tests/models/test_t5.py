"""T5 and what stands in its networks' place: counts, operations, collapse; span corruption and its inverse."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from models.data.span_corruption import corrupt, noise_spans
from models.gpt2 import unique_parameters
from models.t5 import NOTHING, OWN, TABLE_3_1, FeedForward, MatrixChain, T5Shape, build, collapse
from tests.oracles import uncorrupted

TINY = T5Shape(2, 3, inner=20, width=12, head_width=4, heads=3, vocabulary=50)
KINDS = [OWN, NOTHING, FeedForward(1), FeedForward(1, relu=True), FeedForward(2, 2.0), FeedForward(3, 1.5)]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("only_encoder", [False, True])
def test_counts_are_those_of_a_built_model(kind, only_encoder):
    shape = TINY.with_feed_forward(kind, OWN if only_encoder else None)
    model = build(shape, seed=0)
    assert unique_parameters(model) == shape.parameters()
    assert shape.parameters(embeddings=False) == shape.parameters() - 50 * 12


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("read", "written"), [(7, 5), (1, 1), (4, 9)])
def test_operations_are_those_that_torch_counts(kind, read, written):
    shape = TINY.with_feed_forward(kind)
    model = build(shape, seed=0).eval()
    model.set_attn_implementation("eager")  # torch does not count its fused attention on the CPU
    ones = [torch.ones(1, length, dtype=torch.long) for length in (read, written)]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=ones[0], decoder_input_ids=ones[1])
    assert counter.get_total_flops() == shape.operations(read, written)


def sizes(**changes):
    return {name: round(replace(shape, **changes).parameters() / 1e6, 1) for name, shape in TABLE_3_1.items()}


def test_sizes_of_table_3_1():
    """Printed as 16M, 31M, 60M and 220M, which heads of 64 give; the table's own heads of 32 do not."""
    assert sizes(head_width=64) == {"tiny": 15.6, "mini": 31.2, "small": 60.5, "base": 222.9}
    assert sizes() == {"tiny": 14.0, "mini": 26.5, "small": 51.1, "base": 222.9}


@given(st.integers(1, 3), st.sampled_from([1.0, 1.2, 2.0, 4.0]), st.integers(1, 9), st.integers(0, 1000), st.booleans())
def test_a_chain_collapses_into_one_matrix_with_the_same_outputs(matrices, expansion, width, seed, double):
    dtype = torch.float64 if double else torch.float32
    torch.manual_seed(seed)
    chain = MatrixChain(FeedForward(matrices, expansion).shapes(width, 0)).to(dtype)
    inputs = torch.randn(5, width, dtype=dtype)
    before, terms = chain(inputs), inputs.abs()
    for matrix in chain.matrices:
        terms = terms @ matrix.weight.abs().T
    chain.collapse()
    assert len(chain.matrices) == 1 and chain.matrices[0].weight.shape == (width, width)
    # Rounding of sums of products is bounded by their terms' magnitudes; a chain has a few dozen of them.
    assert ((chain(inputs) - before).abs() <= 100 * torch.finfo(dtype).eps * terms + 1e-30).all()


def test_a_model_collapses_to_the_size_and_outputs_of_its_single_matrix_form():
    shape = TINY.with_feed_forward(FeedForward(3, 2.0))
    model = build(shape, seed=1).eval()
    tokens = torch.arange(1, 9)[None]
    before = model(input_ids=tokens, decoder_input_ids=tokens).logits
    assert collapse(model) == 5
    torch.testing.assert_close(model(input_ids=tokens, decoder_input_ids=tokens).logits, before, rtol=1e-4, atol=1e-5)
    assert unique_parameters(model) == TINY.with_feed_forward(FeedForward(1)).parameters()


def test_seeds_decide_weights_and_leave_the_global_generator_alone():
    state = torch.random.get_rng_state()
    a, b, c = (build(TINY.with_feed_forward(FeedForward(2)), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    same = [torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True)]
    assert all(same) and not torch.equal(a.shared.weight, c.shared.weight)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"matrices": 4}, "0 to 3 matrices, not 4"),
        ({"expansion": 0.0}, "above 0"),
        ({"matrices": 2, "relu": True}, "ReLU"),
    ],
)
def test_odd_networks_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        FeedForward(**arguments)


@given(st.integers(2, 300), st.floats(0.05, 0.9), st.floats(1, 8), st.integers(0, 10_000))
def test_corruption_gives_the_text_back(length, density, mean_span, seed):
    tokens = list(range(length))
    noise = noise_spans(length, np.random.default_rng(seed), density=density, mean_span=mean_span)
    assert len(noise) == length and not noise[0] and noise[-1]
    assert noise.sum() == min(max(round(length * density), 1), length - 1)
    inputs, target = corrupt(tokens, noise, first_sentinel=9999, end=1, sentinels=400)
    assert inputs[-1] == target[-1] == 1
    assert uncorrupted(inputs, target, first_sentinel=9999, sentinels=400) == tokens
    spans = sum(9599 < token <= 9999 for token in inputs)
    assert len(inputs) + len(target) == length + 2 * spans + 2


def test_noise_has_the_density_and_the_spans_asked_for():
    rng = np.random.default_rng(0)
    masks = [noise_spans(512, rng) for _ in range(200)]
    starts = [int((mask & ~np.concatenate([[False], mask[:-1]])).sum()) for mask in masks]
    assert {int(mask.sum()) for mask in masks} == {77} and set(starts) == {26}
    assert len({mask.tobytes() for mask in masks}) == 200


def test_corruption_refuses():
    with pytest.raises(ValueError, match=r"1 token\(s\)"):
        noise_spans(1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="noise density 1"):
        noise_spans(9, np.random.default_rng(0), density=1)
    with pytest.raises(ValueError, match="a mask of 3 for 4"):
        corrupt([1, 2, 3, 4], np.zeros(3, dtype=bool), first_sentinel=99, end=1)
    mask = np.array([False, True] * 4)
    with pytest.raises(ValueError, match="4 spans need as many sentinels and there are 2"):
        corrupt(list(range(8)), mask, first_sentinel=99, end=1, sentinels=2)


def test_a_width_of_attention_is_heads_times_width():
    assert replace(TINY, heads=2).attention_width == 8
