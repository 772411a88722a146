"""Layers that stand in for compressed ones, and what a checkpoint has to be told of them."""

import torch
from torch import nn

from compress.grid import fake_quantize
from compress.layers import SimulatedLinear, changing_inputs, grids_of
from compress.pruning.magnitude import MagnitudePruning
from compress.quantization.grouping import PerGroup, PerRow
from compress.quantization.rounding import RoundToNearest
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
