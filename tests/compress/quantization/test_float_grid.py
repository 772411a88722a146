"""Float grids of four and eight bits."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from compress.quantization.float_grid import FP4, FP8_E4M3, FloatActivations, FloatFormat, FloatRounding
from compress.quantization.grouping import PerGroup, PerRow
from compress.quantization.rounding import RoundToNearest

VALUES = st.floats(-500, 500, width=32)


@given(st.lists(VALUES, min_size=1, max_size=40))
@settings(max_examples=200)
def test_fp8_is_torchs(values):
    tensor = torch.tensor(values)
    inside = tensor.clamp(-FP8_E4M3.largest, FP8_E4M3.largest)
    assert torch.equal(FP8_E4M3.round(tensor), inside.to(torch.float8_e4m3fn).float())


def test_fp4_is_its_list_with_ties_to_even():
    numbers = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    assert torch.equal(FP4.round(numbers), numbers)
    assert torch.equal(FP4.round(-numbers), -numbers)
    # Halfway: 0.25 -> 0, 0.75 -> 1, 1.25 -> 1, 1.75 -> 2, 2.5 -> 2, 3.5 -> 4, 5 -> 4; beyond the largest, the largest.
    middle = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, 7])
    assert FP4.round(middle).tolist() == [0, 1, 1, 2, 2, 4, 4, 6]
    assert FP4.bits == 4 and FP8_E4M3.bits == 8


@given(st.integers(0, 200))
@settings(max_examples=20)
def test_the_largest_of_a_group_is_kept_and_twice_is_once(seed):
    weight = torch.randn(4, 19, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    layer = nn.Linear(19, 4, bias=False).double()
    layer.weight = nn.Parameter(weight)
    method = FloatRounding(FP4, PerGroup(8))
    once = method(layer)
    twice = method(once)
    torch.testing.assert_close(once.weight, twice.weight)
    for part in (slice(0, 8), slice(8, 16), slice(16, 19)):
        place = weight[:, part].abs().argmax(1, keepdim=True)
        torch.testing.assert_close(once.weight[:, part].gather(1, place), weight[:, part].gather(1, place))
    assert once.storage.total_bits == 4 * 19 * 4 + 4 * 3 * 64


def test_zero_and_subnormal_groups():
    assert torch.equal(FP4.fake(torch.zeros(2, 4)), torch.zeros(2, 4))
    assert FP4.fake(torch.full((1, 4), 1e-42)).isfinite().all()
    assert FP4.round(torch.tensor([torch.nan])).isnan().all()


@pytest.mark.parametrize("weights", [FloatRounding(FP4, PerRow()), RoundToNearest(4, PerRow())], ids=str)
def test_float_activations_round_each_token_and_leave_the_weights_as_their_method_does(weights):
    layer, inputs = nn.Linear(9, 4), torch.randn(2, 5, 9, generator=torch.Generator().manual_seed(3))
    made, alone = FloatActivations(weights, FP8_E4M3)(layer), weights(layer)
    assert torch.equal(made.weight, alone.weight) and made.storage == alone.storage
    scale = inputs.abs().amax(-1, keepdim=True) / FP8_E4M3.largest
    rounded = (inputs / scale).to(torch.float8_e4m3fn).float() * scale
    torch.testing.assert_close(made(inputs), rounded @ alone.weight.T + layer.bias)


def test_inputs_are_rounded_once():
    with pytest.raises(ValueError, match="rtn-w4a8-row rounds inputs by itself"):
        FloatActivations(RoundToNearest(4, PerRow(), activation_bits=8), FP8_E4M3)
    assert str(FloatActivations(FloatRounding(FP4, PerRow()), FP8_E4M3)) == "fp4-row-a-fp8-e4m3"


def test_formats_and_methods_are_values():
    assert FP4 == FloatFormat("fp4", 2, 1, 6.0) and FloatRounding(FP4) == FloatRounding(FP4, PerGroup(128))
    assert (FP4.lowest_exponent, FP8_E4M3.lowest_exponent) == (0, -6)
    assert [str(FP8_E4M3), str(FloatRounding(FP4))] == ["fp8-e4m3", "fp4-g128"]
    for value, name in (
        (FP4, "name"),
        (FloatRounding(FP4), "format"),
        (FloatActivations(FloatRounding(FP4), FP4), "format"),
    ):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)


def test_storage_counts_codes_and_one_scale_a_group():
    storage = FloatRounding(FP8_E4M3, PerGroup(8))(nn.Linear(19, 4)).storage
    assert (storage.weights, storage.value_bits, storage.scale_bits) == (76, 76 * 8, 12 * 32)
    assert (storage.zero_point_bits, storage.mask_bits, storage.held_bits) == (0, 0, 76 * 32)
