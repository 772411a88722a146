"""AWQ's search for scales, its clipping, and the layers of a block that share a scale."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from torch import nn

from compress.grid import fake_quantize
from compress.quantization.awq import AWQ, clip, output_error, search_scale
from compress.quantization.grouping import PerGroup
from compress.statistics import GramAndMagnitude
from tests.layers import layer_of, measured
from tests.oracles import round_to_nearest


def test_awq_is_never_worse_than_rounding_and_r_0_is_rounding():
    generator = torch.Generator().manual_seed(0)
    for seed in range(5):
        weight = torch.randn(8, 24, generator=generator)
        inputs = torch.randn(60, 24, generator=generator) * torch.logspace(-1, 1, 24)
        gram, magnitude = inputs.T @ inputs, inputs.abs().mean(0)
        groups = PerGroup(8)
        scale, r = search_scale([weight], gram, magnitude, bits=3, grouping=groups)
        rounded = groups.join(fake_quantize(groups.cut(weight), 3), 24)
        scaled = groups.join(fake_quantize(groups.cut(weight * scale), 3), 24) / scale
        assert output_error(scaled - weight, gram) <= output_error(rounded - weight, gram) * (1 + 1e-6), seed
        assert 0 <= r < 1
    flat, r = search_scale([weight], gram, torch.ones(24), bits=3, grouping=groups)
    assert r == 0 and torch.equal(flat, torch.ones(24))
    error = ((scaled - weight) @ inputs.T).square().sum()
    torch.testing.assert_close(output_error(scaled - weight, gram), error, rtol=1e-3, atol=1e-3)


def test_clipping_never_hurts_a_groups_own_output():
    generator = torch.Generator().manual_seed(2)
    weight, inputs = torch.randn(6, 20, generator=generator), torch.randn(50, 20, generator=generator)
    gram = inputs.T @ inputs
    clipped = clip(weight, gram, bits=2, size=8)
    for start in (0, 8, 16):
        part = slice(start, start + 8)
        errors = [
            ((fake_quantize(w[:, part], 2) - weight[:, part]) @ inputs[:, part].T).square().sum(1)
            for w in (clipped, weight)
        ]
        assert (errors[0] <= errors[1] * (1 + 1e-5) + 1e-5).all()
    assert (clipped.abs() <= weight.abs()).all()


def test_layers_that_share_inputs_share_a_scale():
    generator = torch.Generator().manual_seed(3)
    layers = {"q": nn.Linear(16, 8), "k": nn.Linear(16, 4)}
    other = nn.Linear(8, 8)
    inputs = torch.randn(40, 16, generator=generator) * torch.logspace(-1, 1, 16)
    statistics = {name: measured(layer, inputs, GramAndMagnitude) for name, layer in layers.items()}
    statistics["o"] = measured(other, torch.randn(40, 8, generator=generator), GramAndMagnitude)
    scales = AWQ(3, PerGroup(8)).shared_scales({**layers, "o": other}, statistics)
    assert torch.equal(scales["q"], scales["k"]) and scales["o"].shape == (8,)


def test_awq_layer_stores_its_scales():
    layer = nn.Linear(16, 8)
    inputs = torch.randn(40, 16, generator=torch.Generator().manual_seed(4))
    statistics = {"q": measured(layer, inputs, GramAndMagnitude)}
    compressed = AWQ(4, PerGroup(8)).compress_block({"q": layer}, statistics)["q"]
    assert compressed.storage.total_bits == 16 * 8 * 4 + 16 * 32 + 16 * 32 + 16 * 4
    dense, rounded = layer(inputs), fake_quantize(layer.weight.detach()[:, None], 4)[:, 0]
    assert (compressed(inputs) - dense).norm() <= (inputs @ (rounded - layer.weight).T).norm()


def best_exponent(weights, inputs, bits, size):
    """Exponents and the error of the layers' outputs for each, from the definition, in float64."""
    magnitude, errors = inputs.abs().mean(0), []
    for step in range(20):
        scale = np.maximum(magnitude.double().numpy() ** (step / 20), 1e-4)
        scale = scale / np.sqrt(scale.max() * scale.min())
        error = 0.0
        for weight in weights:
            rounded = round_to_nearest(weight.double().numpy() * scale, bits, size, symmetric=False) / scale
            error += float((((rounded - weight.double().numpy()) @ inputs.double().numpy().T) ** 2).sum())
        errors.append(error)
    return errors


@pytest.mark.parametrize("seed", range(3))
def test_the_search_finds_the_best_of_twenty_exponents(seed):
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(rows, 16, generator=generator) for rows in (5, 3)]
    inputs = torch.randn(60, 16, generator=generator) * torch.logspace(-1, 1, 16)
    scale, r = search_scale(weights, inputs.T @ inputs, inputs.abs().mean(0), bits=3, grouping=PerGroup(8))
    errors = best_exponent(weights, inputs, 3, 8)
    assert errors[round(r * 20)] <= min(errors) * (1 + 1e-3)
    expected = inputs.abs().mean(0) ** r
    torch.testing.assert_close(scale, expected / (expected.max() * expected.min()).sqrt())
    assert scale.max().item() * scale.min().item() == pytest.approx(1, rel=1e-5)


def test_an_input_that_is_always_zero_has_a_scale_above_zero():
    """Its power would be 0, and the weight be divided by it."""
    generator = torch.Generator().manual_seed(1)
    weight, inputs = torch.randn(6, 16, generator=generator), torch.randn(60, 16, generator=generator)
    inputs *= torch.logspace(-1, 1, 16)
    inputs[:, 3] = 0
    scale, r = search_scale([weight], inputs.T @ inputs, inputs.abs().mean(0), bits=3, grouping=PerGroup(8))
    assert r > 0 and scale.isfinite().all() and (scale > 0).all()
    assert scale.max().item() * scale.min().item() == pytest.approx(1, rel=1e-5)
    assert (scale[3] / scale.max()).item() == pytest.approx(1e-4 / inputs.abs().mean(0).max().item() ** r, rel=1e-4)


def test_clipping_takes_the_best_of_ten_ranges_for_each_group_of_each_row():
    generator = torch.Generator().manual_seed(3)
    weight, inputs = torch.randn(4, 20, generator=generator) ** 3, torch.randn(50, 20, generator=generator)
    clipped = clip(weight, inputs.T @ inputs, bits=2, size=8)
    shares = set()
    for start in (0, 8, 16):
        part, own = weight[:, start : start + 8], inputs[:, start : start + 8]
        for row, values in enumerate(part):
            reach, errors = values.abs().max(), []
            for step in range(10):
                limit = reach * (1 - step / 20)
                rounded = fake_quantize(values.clamp(-limit, limit)[None], 2)[0]
                errors.append(float((own @ (rounded - values)).square().sum()))
            limit = reach * (1 - np.argmin(errors) / 20)
            shares.add(int(np.argmin(errors)))
            torch.testing.assert_close(clipped[row, start : start + 8], values.clamp(-limit, limit))
    assert len(shares) > 3, "the best range is not always the same one"


def test_a_weight_on_its_grid_is_not_clipped():
    weight = torch.tensor([[0.0, 1.0, 2.0, 3.0]])
    assert torch.equal(clip(weight, torch.eye(4), bits=2, size=4), weight)


def block(clipped, before=None):
    """Two layers that read the same inputs, of very unlike sizes, and one that reads others."""
    generator = torch.Generator().manual_seed(5)
    layers = {
        name: layer_of(torch.randn(rows, 20, generator=generator)) for name, rows in {"q": 6, "k": 4, "o": 5}.items()
    }
    inputs, others = torch.randn(2, 40, 20, generator=generator) * torch.logspace(-1, 1, 20)
    statistics = {name: measured(layers[name], inputs, GramAndMagnitude) for name in ("q", "k")}
    statistics["o"] = measured(layers["o"], others, GramAndMagnitude)
    method = AWQ(3, PerGroup(8), clipped=clipped, before=before)
    return layers, statistics, method, method.compress_block(layers, statistics)


@pytest.mark.parametrize("clipped", [False, True])
def test_a_layer_is_scaled_clipped_rounded_and_scaled_back(clipped):
    layers, statistics, method, made = block(clipped)
    for name, layer in layers.items():
        scale = method.shared_scales(layers, statistics)[name]
        scaled = layer.weight.detach() * scale
        if clipped:
            scaled = clip(scaled, statistics[name].sum.float() / scale / scale[:, None], bits=3, size=8)
        grouping = PerGroup(8)
        expected = grouping.join(fake_quantize(grouping.cut(scaled), 3), 20) / scale
        torch.testing.assert_close(made[name].weight, expected)
        assert made[name].grid is None and made[name].input_scale is None


def test_scales_that_are_to_be_folded_stay_with_the_inputs_and_weights_on_their_grid():
    layers, statistics, method, made = block(True, before={"q": "norm", "k": "norm"})
    scales = method.shared_scales(layers, statistics)
    assert (scales["o"] == 1).all() and made["o"].input_scale is None, "nothing before it can take a scale"
    assert scales["q"].std() > 0.1 and torch.equal(scales["q"], scales["k"])
    for name in ("q", "k"):
        torch.testing.assert_close(made[name].input_scale, scales[name])
    for name in layers:
        grid = made[name].grid
        assert (grid.bits, grid.size, grid.symmetric) == (3, 8, False)
        assert grid.scales.shape == grid.zero_points.shape == (layers[name].out_features, 3)
        codes = made[name].weight / grid.scales.repeat_interleave(8, 1)[:, :20]
        codes = codes + grid.zero_points.repeat_interleave(8, 1)[:, :20]
        torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-3)
        assert codes.min() > -0.01 and codes.max() < 7.01


def test_storage_counts_codes_scales_and_zero_points_of_every_group():
    layers, _, _, made = block(True)
    for name, layer in layers.items():
        storage, rows = made[name].storage, layer.out_features
        assert (storage.weights, storage.value_bits) == (rows * 20, rows * 20 * 3)
        assert storage.scale_bits == rows * 3 * 32 + 20 * 32 and storage.zero_point_bits == rows * 3 * 3
        assert storage.held_bits == rows * 20 * 32


def test_names_and_settings():
    assert [str(AWQ(4)), str(AWQ(3, PerGroup(8), clipped=False))] == ["awq-w4-g128", "awq-w3-g8-unclipped"]
    assert AWQ(4) == AWQ(4, PerGroup(128), True, None) and hash(AWQ(4)) == hash(AWQ(4, before={}))
    with pytest.raises(ValueError, match="bits is 1"):
        AWQ(1)
    with pytest.raises(FrozenInstanceError):
        AWQ(4).bits = 3
