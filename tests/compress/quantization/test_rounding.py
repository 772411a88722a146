"""Rounding to nearest: sizes are counted from what is there."""

from dataclasses import FrozenInstanceError

import pytest
import torch

from compress.grid import fake_quantize
from compress.pruning.magnitude import MagnitudePruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.grouping import PerGroup, PerRow, PerTensor
from compress.quantization.mixed_precision import Protection
from compress.quantization.rounding import CastWeights, RoundToNearest
from compress.statistics import SquaredInputs
from tests.layers import layer_of


def test_storage_is_counted_from_what_is_there():
    weight = torch.randn(4, 20, generator=torch.Generator().manual_seed(0))
    rounded = RoundToNearest(3, PerGroup(8))(layer_of(weight)).storage
    # 80 codes of 3 bits, 12 groups (8 + 8 + 4 a row) of a float32 scale and a 3-bit zero point.
    assert (rounded.value_bits, rounded.scale_bits, rounded.zero_point_bits) == (240, 12 * 32, 36)
    assert rounded.simulated
    assert rounded.bits_per_weight == (240 + 384 + 36) / 80
    half = MagnitudePruning(0.5)(layer_of(weight)).storage
    assert (half.value_bits, half.mask_bits) == (40 * 32, 80)
    statistic = SquaredInputs(layer_of(weight))
    statistic.add(torch.ones(1, 20))
    pattern = WandaPruning(0.5, (2, 4))(layer_of(weight), statistic).storage
    assert (pattern.value_bits, pattern.mask_bits) == (40 * 32, 40 * 2)
    mixed = RoundToNearest(3, PerGroup(8), protect=Protection(0.25))(layer_of(weight)).storage
    assert mixed.mask_bits == 12
    assert mixed.value_bits > rounded.value_bits


@pytest.mark.parametrize("bits", range(2, 9))
def test_measured_bits_never_exceed_those_asked(bits):
    weight = torch.randn(16, 64, generator=torch.Generator().manual_seed(bits))
    storage = RoundToNearest(bits)(layer_of(weight)).storage
    assert storage.value_bits == bits * weight.numel()


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (RoundToNearest(4), "rtn-w4-g64"),
        (RoundToNearest(4, PerTensor(), symmetric=True, activation_bits=8), "rtn-w4a8-tensor-symmetric"),
        (RoundToNearest(3, PerGroup(8), protect=Protection(0.02)), "rtn-w3-g8-keep-0.02-largest"),
        (CastWeights(torch.bfloat16), "cast-bfloat16"),
    ],
)
def test_names_tell_settings_apart(method, name):
    assert str(method) == name


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("grouping", [PerRow(), PerGroup(8)], ids=str)
def test_the_grid_is_told_on_which_the_weight_lies(grouping, symmetric):
    weight = torch.randn(4, 20, generator=torch.Generator().manual_seed(0))
    made = RoundToNearest(3, grouping, symmetric)(layer_of(weight))
    grid, size = made.grid, 20 if isinstance(grouping, PerRow) else 8
    assert (grid.bits, grid.size, grid.symmetric) == (3, size, symmetric)
    assert grid.scales.shape == grid.zero_points.shape == (4, -(-20 // size))
    scales, zeros = (part.repeat_interleave(size, 1)[:, :20] for part in (grid.scales, grid.zero_points))
    codes = made.weight / scales + zeros
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-4)
    assert made.storage.zero_point_bits == (0 if symmetric else grid.scales.numel() * 3)


def test_one_grid_for_a_whole_weight_is_no_packed_one_and_neither_is_a_mixed_one():
    layer = layer_of(torch.randn(4, 16, generator=torch.Generator().manual_seed(0)))
    whole = RoundToNearest(4, PerTensor())(layer)
    assert whole.grid is None and whole.storage.scale_bits == 32 and len(whole.weight.unique()) <= 16
    assert RoundToNearest(4, PerGroup(8), protect=Protection(0.25))(layer).grid is None


@pytest.mark.parametrize("symmetric", [False, True])
def test_protected_groups_lie_on_their_finer_grid_and_are_counted_with_their_real_lengths(symmetric):
    """12 groups of 8, 8 and 4 a row; a quarter is 3, the ones of largest mean magnitude, in rows of their own."""
    weight = torch.rand(4, 20, generator=torch.Generator().manual_seed(0)) + 0.1
    weight[0, 16:] *= 100  # a short group
    weight[1, :8] *= 90
    weight[2, 8:16] *= 80
    made = RoundToNearest(2, PerGroup(8), symmetric, protect=Protection(0.25, bits=6))(layer_of(weight))
    for row, part in ((0, slice(16, 20)), (1, slice(0, 8)), (2, slice(8, 16))):
        torch.testing.assert_close(
            made.weight[row, part], fake_quantize(weight[row, part][None], 6, symmetric=symmetric)[0]
        )
    torch.testing.assert_close(made.weight[3, :8], fake_quantize(weight[3, :8][None], 2, symmetric=symmetric)[0])
    storage = made.storage
    assert storage.value_bits == 20 * 6 + 60 * 2 and storage.mask_bits == 12 and storage.scale_bits == 12 * 32
    assert storage.zero_point_bits == (0 if symmetric else 3 * 6 + 9 * 2)
    assert (storage.weights, storage.held_bits) == (80, 80 * 32)


def test_a_narrow_dtype_is_a_round_trip_stored_narrow():
    layer = layer_of(torch.randn(4, 5, generator=torch.Generator().manual_seed(0)))
    made = CastWeights(torch.bfloat16)(layer)
    assert torch.equal(made.weight, layer.weight.bfloat16().float()) and made.weight.dtype == torch.float32
    assert (made.storage.value_bits, made.storage.held_bits) == (20 * 16, 20 * 32)


def test_settings_are_values_and_those_that_do_not_fit_are_refused():
    assert RoundToNearest(4) == RoundToNearest(4, PerGroup(64), False, None, None)
    for settings in (
        {"bits": 1},
        {"bits": 4, "activation_bits": 9},
        {"bits": 4, "grouping": PerRow(), "protect": Protection(0.1)},
    ):
        with pytest.raises(ValueError, match=r"bits is|needs a group size"):
            RoundToNearest(**settings)
    for method, name in ((RoundToNearest(4), "bits"), (CastWeights(torch.half), "dtype")):
        with pytest.raises(FrozenInstanceError):
            setattr(method, name, 3)
