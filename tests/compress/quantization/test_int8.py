"""Eight-bit inference with outliers: LLM.int8() and SmoothQuant."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from compress.quantization.int8 import LLMInt8, SmoothQuant, smoothing_scale, vector_wise
from compress.statistics import LargestInputs
from tests.layers import measured


def test_llm_int8_leaves_outliers_alone():
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(12, 5)
    inputs = torch.randn(40, 12, generator=generator)
    inputs[:, 3] *= 50
    statistic = measured(layer, inputs, LargestInputs)
    assert torch.equal(statistic.largest, inputs.abs().amax(0))
    wide = statistic.largest >= 6
    assert wide.nonzero().tolist() == [[3]]
    mixed = LLMInt8()(layer, statistic)
    assert torch.equal(mixed.weight[:, 3], layer.weight[:, 3])
    dense, rest = layer(inputs), inputs.masked_fill(wide, 0)
    expected = inputs[:, wide] @ layer.weight[:, wide].T + layer.bias
    expected = expected + vector_wise(rest) @ vector_wise(layer.weight.detach().masked_fill(wide, 0)).T
    torch.testing.assert_close(mixed(inputs), expected)
    plain = LLMInt8(float("inf"))(layer, statistic)
    assert (mixed(inputs) - dense).norm() < (plain(inputs) - dense).norm() / 5
    assert mixed.storage.total_bits == 5 * 11 * 8 + 5 * 32 + 5 * 32 + 16


@given(st.floats(0, 1), st.integers(0, 30))
@settings(max_examples=20)
def test_smoothing_cancels(strength, seed):
    generator = torch.Generator().manual_seed(seed)
    weight, inputs = torch.randn(6, 9, generator=generator).double(), torch.randn(20, 9, generator=generator).double()
    inputs[:, 2] = 0
    scale = smoothing_scale(inputs.abs().amax(0), weight, strength)
    assert scale[2] == 1 and (scale > 0).all()
    torch.testing.assert_close((inputs / scale) @ (weight * scale).T, inputs @ weight.T)


def test_smoothquant_helps_with_an_outlier_and_says_so():
    layer = nn.Linear(32, 16)
    inputs = torch.randn(64, 32, generator=torch.Generator().manual_seed(1))
    inputs[:, 5] *= 100
    statistic = measured(layer, inputs, LargestInputs)
    smooth, plain = SmoothQuant()(layer, statistic), LLMInt8(float("inf"))(layer, statistic)
    dense = layer(inputs)
    assert (smooth(inputs) - dense).norm() < (plain(inputs) - dense).norm()
    with pytest.raises(ValueError, match="between 0 and 1"):
        SmoothQuant(1.5)
