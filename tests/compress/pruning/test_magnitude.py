"""Magnitude pruning removes exactly what was asked, within each kind of group."""

from dataclasses import FrozenInstanceError

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


def test_the_largest_of_the_whole_model_are_refused():
    with pytest.raises(ValueError, match="per row or per layer, not per model"):
        MagnitudePruning(0.1, ComparisonGroup.MODEL, largest=True).across({"a": layer_of(torch.ones(2, 2))})


def test_only_a_comparison_over_the_model_looks_at_all_layers():
    layers = {"a": layer_of(torch.full((2, 2), 1.0)), "b": layer_of(torch.full((2, 2), 2.0))}
    for group in (ComparisonGroup.ROW, ComparisonGroup.LAYER):
        method = MagnitudePruning(0.5, group)
        assert method.across(layers) is method
    whole = MagnitudePruning(0.5, ComparisonGroup.MODEL).across(layers)
    assert whole(layers["a"], name="a").sparsity() == 1 and whole(layers["b"], name="b").sparsity() == 0


def test_zeros_go_first_and_in_order():
    scores = [torch.tensor([0.0, 0.0, 1.0]), torch.tensor([[0.0], [2.0]])]
    for count, expected in enumerate([(0, 0, 0, 0, 0), (1, 0, 0, 0, 0), (1, 1, 0, 0, 0), (1, 1, 0, 1, 0)]):
        masks = smallest_across(scores, count)
        assert torch.cat([mask.flatten() for mask in masks]).int().tolist() == list(expected)
        assert [mask.shape for mask in masks] == [score.shape for score in scores]


@pytest.mark.parametrize("group", [ComparisonGroup.ROW, ComparisonGroup.LAYER])
@pytest.mark.parametrize("largest", [False, True])
def test_weights_are_compared_in_their_group(group, largest):
    weight = torch.tensor([[1.0, -2.0, 3.0, -4.0], [5.0, -6.0, 7.0, -8.0]])
    gone = MagnitudePruning(0.25, group, largest)(layer_of(weight)).weight == 0
    expected = {
        (ComparisonGroup.ROW, False): {1.0, 5.0},
        (ComparisonGroup.LAYER, False): {1.0, -2.0},
        (ComparisonGroup.ROW, True): {-4.0, -8.0},
        (ComparisonGroup.LAYER, True): {7.0, -8.0},
    }[group, largest]
    assert {*weight[gone].tolist()} == expected


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (MagnitudePruning(0.5), "magnitude-0.5"),
        (MagnitudePruning(0.5, ComparisonGroup.ROW), "magnitude-0.5-per-row"),
        (MagnitudePruning(0.5, ComparisonGroup.MODEL), "magnitude-0.5-per-model"),
        (MagnitudePruning(0.01, largest=True), "largest-0.01"),
    ],
)
def test_names_tell_groups_apart(method, name):
    assert str(method) == name


def test_settings_and_masks_cannot_be_changed():
    whole = MagnitudePruning(0.5, ComparisonGroup.MODEL)
    for method, name in ((whole, "sparsity"), (whole.across({"a": layer_of(torch.ones(2, 2))}), "masks")):
        with pytest.raises(FrozenInstanceError):
            setattr(method, name, None)
