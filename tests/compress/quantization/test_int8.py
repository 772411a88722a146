"""Eight-bit inference with outliers: LLM.int8() and SmoothQuant."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from compress.quantization.int8 import OUTLIER, LLMInt8, SmoothQuant, smoothing_scale, vector_wise
from compress.statistics import LargestInputs
from tests.layers import layer_of, measured


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


def test_an_input_that_reaches_the_threshold_exactly_is_an_outlier():
    layer = layer_of(torch.randn(3, 40, generator=torch.Generator().manual_seed(0)))
    inputs = torch.zeros(1, 40)
    inputs[0, :3] = torch.tensor([6.0, -6.0, 5.999])
    made = LLMInt8(6.0)(layer, measured(layer, inputs, LargestInputs))
    same = (made.weight == layer.weight).all(0)
    assert same[:3].tolist() == [True, True, False] and not same[2:].any()
    assert made.storage.mask_bits == 2 * 16


@pytest.mark.parametrize("strength", [0.0, 0.25, 0.5, 0.8, 1.0])
def test_the_scale_is_its_definition_for_every_strength(strength):
    weight = torch.tensor([[1.0, -4.0, 0.5], [-2.0, 3.0, 0.25]])
    largest = torch.tensor([8.0, 2.0, 5.0])
    expected = [x**strength / w ** (1 - strength) for x, w in zip((8.0, 2.0, 5.0), (2.0, 4.0, 0.5), strict=True)]
    torch.testing.assert_close(smoothing_scale(largest, weight, strength), torch.tensor(expected))


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_an_input_or_a_column_of_zeros_is_scaled_by_one(strength):
    weight = torch.tensor([[1.0, 0.0, 3.0], [2.0, 0.0, 1.0]])
    scale = smoothing_scale(torch.tensor([0.0, 5.0, 7.0]), weight, strength)
    assert scale[:2].tolist() == [1, 1] and scale[2].item() == pytest.approx(7**strength / 3 ** (1 - strength))


@pytest.mark.parametrize("strength", [0.2, 0.9])
def test_smoothquant_takes_the_strength_that_it_is_given(strength):
    layer, inputs = nn.Linear(12, 5), torch.randn(40, 12, generator=torch.Generator().manual_seed(0))
    statistic = measured(layer, inputs, LargestInputs)
    made = SmoothQuant(strength)(layer, statistic)
    scale = smoothing_scale(inputs.abs().amax(0), layer.weight.detach(), strength)
    torch.testing.assert_close(made.input_scale, scale)
    expected = vector_wise(inputs / scale) @ vector_wise(layer.weight.detach() * scale).T + layer.bias
    torch.testing.assert_close(made(inputs), expected)
    storage = made.storage
    assert (storage.value_bits, storage.scale_bits, storage.mask_bits) == (60 * 8, 5 * 32, 0)
    assert (storage.weights, storage.held_bits) == (60, 60 * 32)


@pytest.mark.parametrize("strength", [-0.01, 1.01, float("nan")])
def test_strengths_outside_of_their_range_are_refused(strength):
    with pytest.raises(ValueError, match="between 0 and 1"):
        SmoothQuant(strength)


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan")])
def test_thresholds_lie_above_zero(threshold):
    with pytest.raises(ValueError, match="above 0"):
        LLMInt8(threshold)
    assert LLMInt8(0.5).threshold == 0.5


def test_outliers_are_stored_wide():
    layer, inputs = nn.Linear(12, 5), torch.ones(3, 12)
    inputs[:, :4] = 7
    storage = LLMInt8()(layer, measured(layer, inputs, LargestInputs)).storage
    assert storage.value_bits == 5 * (8 * 8 + 4 * 32) and storage.mask_bits == 4 * 16
    assert (storage.weights, storage.scale_bits, storage.held_bits) == (60, 5 * 32, 60 * 32)


def test_settings_and_names():
    assert (LLMInt8(), SmoothQuant()) == (LLMInt8(6.0), SmoothQuant(0.5)) and OUTLIER == 6
    assert [str(LLMInt8()), str(SmoothQuant(0.25)), str(LLMInt8(float("inf")))] == [
        "llm-int8-6",
        "smoothquant-0.25",
        "llm-int8-inf",
    ]
    for method, name in ((LLMInt8(), "threshold"), (SmoothQuant(), "strength")):
        with pytest.raises(FrozenInstanceError):
            setattr(method, name, 1.0)
