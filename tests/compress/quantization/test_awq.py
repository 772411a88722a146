"""AWQ's search for scales, its clipping, and the layers of a block that share a scale."""

import torch
from torch import nn

from compress.grid import fake_quantize
from compress.quantization.awq import AWQ, clip, output_error, search_scale
from compress.quantization.grouping import PerGroup
from compress.statistics import GramAndMagnitude
from tests.layers import measured


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
