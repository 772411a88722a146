"""Mixed precision by activations against its definition, column by column."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import nn

from compress.grid import fake_quantize
from compress.quantization.grouping import PerGroup
from compress.quantization.rounding import RoundToNearest
from compress.quantization.salient import SalientChannels, salient_inputs
from compress.statistics import Magnitudes
from tests.layers import measured


def layer_and_inputs(d_in=20, d_out=6):
    """A layer with a large weight in a column of large inputs, and its inputs."""
    generator = torch.Generator().manual_seed(0)
    layer, inputs = nn.Linear(d_in, d_out), torch.randn(50, d_in, generator=generator)
    inputs[:, [3, 17]] *= torch.tensor([30.0, 20.0])
    layer.weight.data[2, 3] = 5.0
    return layer, inputs


def test_salient_inputs_are_those_of_largest_mean_magnitude():
    assert salient_inputs(torch.tensor([1.0, 5, 2, 9]), 0.5).tolist() == [False, True, False, True]
    assert not salient_inputs(torch.ones(30), 0.01).any()


def test_salient_columns_stay_in_16_bits_and_others_are_rounded_without_them():
    layer, inputs = layer_and_inputs()
    made = SalientChannels(3, PerGroup(8), 0.1)(layer, measured(layer, inputs, Magnitudes))
    weight = layer.weight.detach()
    for column in range(20):
        if column in {3, 17}:
            assert torch.equal(made.weight[:, column], weight[:, column].half().float())
            continue
        group = [place for place in range(column // 8 * 8, min(column // 8 * 8 + 8, 20)) if place not in {3, 17}]
        rounded = fake_quantize(weight[:, group], 3)  # ranges include 0, so a column of zeros changes none
        torch.testing.assert_close(made.weight[:, column], rounded[:, group.index(column)])


def test_salient_columns_are_counted():
    layer, inputs = layer_and_inputs()
    storage = SalientChannels(3, PerGroup(8), 0.1)(layer, measured(layer, inputs, Magnitudes)).storage
    assert storage.value_bits == 6 * (18 * 3 + 2 * 16) and storage.mask_bits == 2 * 16
    assert (storage.scale_bits, storage.zero_point_bits) == (6 * 3 * 32, 6 * 3 * 3)


def test_without_salient_inputs_it_is_rounding():
    layer, inputs = layer_and_inputs()
    made = SalientChannels(3, PerGroup(8), 0.0)(layer, measured(layer, inputs, Magnitudes))
    torch.testing.assert_close(made.weight, RoundToNearest(3, PerGroup(8))(layer).weight)


def test_salient_columns_help_where_inputs_are_unlike():
    layer, inputs = layer_and_inputs()
    mixed = SalientChannels(3, PerGroup(8), 0.1)(layer, measured(layer, inputs, Magnitudes))
    dense, rounded = layer(inputs), RoundToNearest(3, PerGroup(8))(layer)(inputs)
    assert (mixed(inputs) - dense).norm() < (rounded - dense).norm() / 3


def test_a_fraction_of_all_is_refused():
    with pytest.raises(ValueError, match="salient inputs is 1"):
        SalientChannels(3, fraction=1.0)


def test_names_and_settings():
    assert str(SalientChannels(3)) == "salient-w3-g128-0.01"
    assert SalientChannels(3) == SalientChannels(3, PerGroup(128), 0.01)
    with pytest.raises(ValueError, match="bits is 1"):
        SalientChannels(1)
    with pytest.raises(FrozenInstanceError):
        SalientChannels(3).bits = 4


def test_a_layer_holds_its_weights_in_full():
    layer, inputs = layer_and_inputs()
    storage = SalientChannels(3, PerGroup(8), 0.1)(layer, measured(layer, inputs, Magnitudes)).storage
    assert (storage.weights, storage.held_bits) == (120, 120 * 32)
