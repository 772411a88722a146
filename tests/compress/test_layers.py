"""Layers that stand in for compressed ones, and what a checkpoint has to be told of them."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import nn

from compress.grid import fake_quantize
from compress.layers import SimulatedLinear, WeightGrid, changing_inputs, grids_of, pruned
from compress.pruning.magnitude import MagnitudePruning
from compress.quantization.grouping import PerGroup, PerRow
from compress.quantization.rounding import RoundToNearest
from compress.size import Storage
from tests.layers import layer_of


def test_activations_are_rounded_per_token_and_outputs_are_not():
    weight = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    layer = RoundToNearest(8, PerRow(), activation_bits=4)(layer_of(weight))
    inputs = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1))
    expected = fake_quantize(inputs, 4) @ layer.weight.T
    torch.testing.assert_close(layer(inputs), expected)
    assert len(fake_quantize(inputs, 4)[0, 0].unique()) <= 16


def test_a_bias_survives():
    layer = nn.Linear(4, 3)
    compressed = MagnitudePruning(0.5)(layer)
    assert isinstance(compressed, SimulatedLinear)
    torch.testing.assert_close(compressed.bias, layer.bias)
    inputs = torch.randn(2, 4)
    torch.testing.assert_close(compressed(inputs), inputs @ compressed.weight.T + layer.bias)


def test_weights_in_a_narrow_dtype_keep_it():
    layer = layer_of(torch.randn(4, 64)).to(torch.bfloat16)
    rounded = RoundToNearest(4)(layer)
    assert rounded.weight.dtype is torch.bfloat16
    expected = RoundToNearest(4)(layer_of(layer.weight.detach().float())).weight.to(torch.bfloat16)
    assert torch.equal(rounded.weight, expected)


def test_grids_and_changed_inputs_are_told_by_name():
    layers = {
        "grid": RoundToNearest(4, PerGroup(8))(nn.Linear(16, 4)),
        "rounding": RoundToNearest(4, PerGroup(8), activation_bits=8)(nn.Linear(16, 4)),
        "pruned": MagnitudePruning(0.5)(nn.Linear(16, 4)),
        "plain": nn.Linear(16, 4),
    }
    model = nn.ModuleDict(layers)
    assert set(grids_of(model)) == {"grid", "rounding"} and grids_of(model)["grid"] is layers["grid"].grid
    assert changing_inputs(model) == ["rounding"]
    model["pruned"].input_scale = torch.ones(16)
    assert changing_inputs(model) == ["rounding", "pruned"]


def layer_with(**more):
    return SimulatedLinear(torch.eye(3), None, storage=Storage(9, 18, held_bits=288), **more)


def test_inputs_are_divided_by_their_scale_and_then_rounded():
    inputs = torch.tensor([[4.0, 9.0, 5.0]])
    scale = torch.tensor([2.0, 3.0, 1.0])
    assert layer_with(input_scale=scale)(inputs).tolist() == [[2, 3, 5]]
    assert layer_with(quantize_inputs=torch.neg)(inputs).tolist() == [[-4, -9, -5]]
    rounded = fake_quantize(inputs / scale, 3)
    assert torch.equal(layer_with(input_scale=scale, activation_bits=3)(inputs), rounded)
    assert torch.equal(layer_with()(inputs), inputs)


def test_inputs_are_rounded_in_one_way():
    with pytest.raises(ValueError, match="not by both"):
        layer_with(activation_bits=8, quantize_inputs=torch.neg)


def test_a_layer_trains_nothing_and_tells_its_size():
    layer = SimulatedLinear(torch.eye(3), torch.ones(3), storage=Storage(9, 18), activation_bits=8)
    assert not any(parameter.requires_grad for parameter in layer.parameters())
    assert "2.000 bits/weight, activations 8 bits" in repr(layer) and "activations" not in repr(layer_with())
    assert (layer.note, layer.grid, layer.in_features, layer.out_features) == ("", None, 3, 3)
    assert SimulatedLinear(torch.ones(2, 5), None, storage=Storage(10, 10)).in_features == 5


def test_sparsity_is_the_share_of_zeros():
    assert layer_with().sparsity() == 1 - 3 / 9
    assert SimulatedLinear(torch.ones(2, 2), None, storage=Storage(4, 4)).sparsity() == 0
    assert SimulatedLinear(torch.zeros(2, 2), None, storage=Storage(4, 4)).sparsity() == 1


def test_a_mask_takes_weights_out_and_the_places_of_the_others_are_stored():
    layer = layer_of(torch.arange(1.0, 9).view(2, 4))
    mask = torch.tensor([[True, False, False, True], [False, False, True, True]])
    made = pruned(layer, mask)
    assert made.weight.tolist() == [[0, 2, 3, 0], [5, 6, 0, 0]]
    assert (made.storage.value_bits, made.storage.mask_bits) == (4 * 32, 8)
    assert pruned(layer, mask, index_bits=2).storage.mask_bits == 4 * 2


def test_a_layer_that_rounds_its_inputs_by_itself_is_told_too():
    model = nn.ModuleDict({"a": layer_with(quantize_inputs=torch.neg), "b": layer_with()})
    assert changing_inputs(model) == ["a"] and grids_of(model) == {}
    grid = WeightGrid(4, 2, False, torch.ones(3, 2), torch.zeros(3, 2))
    with pytest.raises(FrozenInstanceError):
        grid.bits = 3
