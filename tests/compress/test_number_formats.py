"""Float grids, eight-bit inference with outliers, and activation-aware scaling."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from compress.grid import fake_quantize
from compress.quantization.awq import AWQ, clip, output_error, search_scale
from compress.quantization.float_grid import FP4, FP8_E4M3, FP8_E5M2, FloatRounding
from compress.quantization.grouping import PerGroup, PerRow
from compress.quantization.int8 import LLMInt8, SmoothQuant, smoothing_scale, vector_wise
from compress.statistics import GramAndMagnitude, LargestInputs

VALUES = st.floats(-500, 500, width=32)


@given(st.lists(VALUES, min_size=1, max_size=40))
@settings(max_examples=200)
def test_fp8_is_torchs(values):
    tensor = torch.tensor(values)
    for ours, dtype in ((FP8_E4M3, torch.float8_e4m3fn), (FP8_E5M2, torch.float8_e5m2)):
        inside = tensor.clamp(-ours.largest, ours.largest)
        assert torch.equal(ours.round(tensor), inside.to(dtype).float())


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


def measured(layer, inputs, kind):
    statistic = kind(layer)
    for part in inputs.split(7):
        statistic.add(part)
    return statistic


def test_llm_int8_leaves_outliers_alone():
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(12, 5)
    inputs = torch.randn(40, 12, generator=generator)
    inputs[:, 3] *= 50
    statistic = measured(layer, inputs, LargestInputs)
    assert torch.equal(statistic.largest, inputs.abs().amax(0))
    wide = statistic.largest >= 6
    assert wide.nonzero().tolist() == [[3]]
    found = LLMInt8()(layer, statistic)
    assert torch.equal(found.weight[:, 3], layer.weight[:, 3])
    dense, rest = layer(inputs), inputs.masked_fill(wide, 0)
    expected = inputs[:, wide] @ layer.weight[:, wide].T + layer.bias
    expected = expected + vector_wise(rest) @ vector_wise(layer.weight.detach().masked_fill(wide, 0)).T
    torch.testing.assert_close(found(inputs), expected)
    plain = LLMInt8(float("inf"))(layer, statistic)
    assert (found(inputs) - dense).norm() < (plain(inputs) - dense).norm() / 5
    assert found.storage.total_bits == 5 * 11 * 8 + 5 * 32 + 5 * 32 + 16


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
    with pytest.raises(TypeError, match="calibrate"):
        SmoothQuant()(layer, None)


def test_awq_is_never_worse_than_rounding_and_r_0_is_rounding():
    generator = torch.Generator().manual_seed(0)
    for seed in range(5):
        weight = torch.randn(8, 24, generator=generator)
        inputs = torch.randn(60, 24, generator=generator) * torch.logspace(-1, 1, 24)
        gram, magnitude = inputs.T @ inputs, inputs.abs().mean(0)
        groups = PerGroup(8)
        scale, r = search_scale([weight], gram, magnitude, bits=3, grouping=groups)
        rounded = groups.join(fake_quantize(groups.cut(weight), 3), 24)
        found = groups.join(fake_quantize(groups.cut(weight * scale), 3), 24) / scale
        assert output_error(found - weight, gram) <= output_error(rounded - weight, gram) * (1 + 1e-6), seed
        assert 0 <= r < 1
    flat, r = search_scale([weight], gram, torch.ones(24), bits=3, grouping=groups)
    assert r == 0 and torch.equal(flat, torch.ones(24))
    error = ((found - weight) @ inputs.T).square().sum()
    torch.testing.assert_close(output_error(found - weight, gram), error, rtol=1e-3, atol=1e-3)


def test_clipping_never_hurts_a_groups_own_output():
    generator = torch.Generator().manual_seed(2)
    weight, inputs = torch.randn(6, 20, generator=generator), torch.randn(50, 20, generator=generator)
    gram = inputs.T @ inputs
    found = clip(weight, gram, bits=2, size=8)
    for start in (0, 8, 16):
        part = slice(start, start + 8)
        errors = [
            ((fake_quantize(w[:, part], 2) - weight[:, part]) @ inputs[:, part].T).square().sum(1)
            for w in (found, weight)
        ]
        assert (errors[0] <= errors[1] * (1 + 1e-5) + 1e-5).all()
    assert (found.abs() <= weight.abs()).all()


def test_layers_that_share_inputs_share_a_scale():
    generator = torch.Generator().manual_seed(3)
    layers = {"q": nn.Linear(16, 8), "k": nn.Linear(16, 4)}
    other = nn.Linear(8, 8)
    inputs = torch.randn(40, 16, generator=generator) * torch.logspace(-1, 1, 16)
    statistics = {name: measured(layer, inputs, GramAndMagnitude) for name, layer in layers.items()}
    statistics["o"] = measured(other, torch.randn(40, 8, generator=generator), GramAndMagnitude)
    scales = AWQ(3, PerGroup(8)).for_block({**layers, "o": other}, statistics).scales
    assert torch.equal(scales["q"], scales["k"]) and scales["o"].shape == (8,)


def test_awq_layer_stores_its_scales():
    layer = nn.Linear(16, 8)
    inputs = torch.randn(40, 16, generator=torch.Generator().manual_seed(4))
    found = AWQ(4, PerGroup(8))(layer, measured(layer, inputs, GramAndMagnitude), name="0.q")
    assert found.storage.total_bits == 16 * 8 * 4 + 16 * 32 + 16 * 32 + 16 * 4
    dense, rounded = layer(inputs), fake_quantize(layer.weight.detach()[:, None], 4)[:, 0]
    assert (found(inputs) - dense).norm() <= (inputs @ (rounded - layer.weight).T).norm()


def test_per_row_float():
    assert str(FloatRounding(FP4, PerRow(), FP8_E4M3)) == "fp4-a-fp8-e4m3-row"
