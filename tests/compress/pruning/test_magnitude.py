"""Magnitude pruning removes exactly what was asked, within each kind of group."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compress.calibrate import linear_layers
from compress.pruning.magnitude import ComparisonGroup, MagnitudePruning, smallest_across
from compress.selection import smallest
from compress.swap import apply
from models.load import find_blocks
from tests.layers import layer_of

few_values = st.sampled_from([0.0, 1e-45, 0.5, 0.5000001, 1.0, 2.0])  # ties are the rule
tables = st.integers(1, 12).flatmap(
    lambda n: st.lists(st.lists(few_values, min_size=n, max_size=n), min_size=1, max_size=5)
)


@given(tables, tables, st.data())
def test_one_threshold_for_several_tensors_is_one_long_row(first, second, data):
    tensors = [torch.tensor(first), torch.tensor(second)]
    joined = torch.cat([tensor.flatten() for tensor in tensors])
    count = data.draw(st.integers(0, len(joined)))
    masks = torch.cat([mask.flatten() for mask in smallest_across(tensors, count)])
    assert torch.equal(masks, smallest(joined[None], count)[0])


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.37, 0.5, 0.9])
@pytest.mark.parametrize("group", ComparisonGroup, ids=lambda group: group.value)
def test_magnitude_removes_exactly_what_was_asked(tiny, sparsity, group):
    blocks = find_blocks(tiny)
    layers = [layer for block in blocks for layer in linear_layers(block).values()]
    sizes = {
        ComparisonGroup.MODEL: [sum(layer.weight.numel() for layer in layers)],
        ComparisonGroup.LAYER: [layer.weight.numel() for layer in layers],
        ComparisonGroup.ROW: [layer.in_features for layer in layers for _ in range(layer.out_features)],
    }[group]
    outcome = apply(MagnitudePruning(sparsity, group), blocks)
    zeros = sum(round(layer.sparsity * layer.storage.weights) for layer in outcome.compressed)
    assert zeros == sum(round(sparsity * size) for size in sizes)


def test_the_largest_go_where_that_is_asked():
    weight = torch.arange(1.0, 101).view(10, 10) * torch.tensor([1.0, -1.0]).repeat(5)
    pruned = MagnitudePruning(0.05, largest=True)(layer_of(weight)).weight
    assert sorted(weight[pruned == 0].abs().tolist()) == [96, 97, 98, 99, 100]
