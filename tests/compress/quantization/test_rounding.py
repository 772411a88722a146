"""Rounding to nearest: sizes are counted from what is there."""

import pytest
import torch

from compress.pruning.magnitude import MagnitudePruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.grouping import PerGroup
from compress.quantization.mixed_precision import Protection
from compress.quantization.rounding import RoundToNearest
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
