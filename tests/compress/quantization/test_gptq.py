"""GPTQ against a plain float64 transcription, and the laws that need no reference."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.grid import fake_quantize
from compress.quantization.column_rounding import Ranges
from compress.quantization.gptq import GPTQ, _blocks, gptq
from compress.quantization.grouping import PerGroup, PerRow
from tests.layers import correlated, waits
from tests.oracles import gptq_by_columns


@pytest.mark.parametrize("grouping", [PerRow(), PerGroup(8), PerGroup(5), PerGroup(100)])
@pytest.mark.parametrize(
    "activation_order, ranges", [(False, "fresh"), (True, "fresh"), (True, "static"), (False, "static")]
)
def test_gptq_is_its_definition(grouping, activation_order, ranges):
    weight, gram, _ = correlated(6, 24, seed=1)
    quantized = gptq(
        weight, gram, bits=3, grouping=grouping, activation_order=activation_order, ranges=Ranges(ranges), block=10
    )
    order = gram.diagonal().argsort(descending=True, stable=True).numpy() if activation_order else np.arange(24)
    size = 24 if isinstance(grouping, PerRow) else grouping.size
    expected = gptq_by_columns(weight, gram, 3, size, order, static=ranges == "static")
    np.testing.assert_allclose(quantized.weight.numpy(), expected, atol=1e-9)
    rebuilt = (quantized.codes - quantized.zero_points[:, quantized.groups]) * quantized.scales[:, quantized.groups]
    torch.testing.assert_close(rebuilt, quantized.weight)


@given(st.integers(0, 50), st.sampled_from([1, 3, 32, 128, 256]))
@settings(max_examples=15, deadline=None)
def test_the_block_changes_nothing(seed, block):
    weight, gram, _ = correlated(5, 20, seed)
    whole = gptq(weight, gram, bits=4, grouping=PerRow(), block=64)
    assert torch.equal(gptq(weight, gram, bits=4, grouping=PerRow(), block=block).codes, whole.codes)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_identity_hessian_is_rounding(bits):
    weight = torch.randn(7, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    quantized = gptq(weight, torch.eye(40, dtype=torch.float64), bits=bits, grouping=PerGroup(16), damping=0.0)
    groups = PerGroup(16)
    expected = groups.join(fake_quantize(groups.cut(weight), bits), 40)
    torch.testing.assert_close(quantized.weight, expected, rtol=0, atol=0)


@pytest.mark.parametrize("magnitude", [1.0, 1e4, 1e-30])
def test_a_group_of_zeros_takes_in_what_others_lost(magnitude):
    """Its grid has the smallest of scales; steps of that would overflow in float32 where weights are large."""
    weight, gram, _ = correlated(4, 16, 6)
    weight[:, 8:] = 0
    weight = (weight * magnitude).float()
    quantized = gptq(weight, gram, bits=3, grouping=PerGroup(8), ranges=Ranges.STATIC)
    expected = gptq_by_columns(weight.double()[:, :8], gram[:8, :8], 3, 8, np.arange(8), static=True)
    assert (
        quantized.weight.isfinite().all()
        and (quantized.weight[:, 8:].abs() <= 8 * torch.finfo(torch.float32).tiny).all()
    )
    assert quantized.codes.min() >= 0 and quantized.codes.max() <= 7
    np.testing.assert_array_equal(quantized.groups.numpy(), np.arange(16) // 8)
    # The first group's own errors are spread by the whole Hessian, so only its first column is the smaller problem's.
    np.testing.assert_allclose(quantized.weight[:, 0].double().numpy(), expected[:, 0], rtol=1e-5)


def test_the_hessians_scale_changes_nothing():
    weight, gram, _ = correlated(5, 20, 3)
    first, second = (gptq(weight, gram * factor, bits=3, grouping=PerRow()) for factor in (1.0, 1 / 4096))
    assert torch.equal(first.codes, second.codes)


def test_reference_ranges_differ_only_inside_a_block():
    weight, gram, _ = correlated(4, 256, 5, tokens=600)
    fresh, reference = (
        {size: gptq(weight, gram, bits=3, grouping=PerGroup(size), ranges=ranges).weight for size in (32, 128)}
        for ranges in (Ranges.FRESH, Ranges.REFERENCE)
    )
    assert torch.equal(fresh[128], reference[128])
    assert not torch.equal(fresh[32], reference[32])
    aligned = gptq(weight, gram, bits=3, grouping=PerGroup(32), ranges=Ranges.REFERENCE, block=32).weight
    torch.testing.assert_close(aligned, fresh[32], rtol=0, atol=1e-12)


def test_less_error_than_rounding():
    """Statistical: over 20 layers, with inputs that are correlated."""
    better = 0
    for seed in range(20):
        weight, gram, inputs = correlated(16, 32, seed)
        rounded = fake_quantize(weight[:, None], 3)[:, 0]
        compensated = gptq(weight, gram, bits=3, grouping=PerRow()).weight
        better += bool((inputs @ (compensated - weight).T).norm() < (inputs @ (rounded - weight).T).norm())
    assert better >= 19


def test_dead_inputs_and_rank_deficiency():
    weight, gram, _ = correlated(4, 12, seed=6, tokens=5)  # rank 5 of 12
    gram[3] = 0
    gram[:, 3] = 0
    quantized = gptq(weight, gram, bits=4, grouping=PerRow(), damping=1e-14)
    assert quantized.weight.isfinite().all() and (quantized.weight[:, 3] == 0).all()
    assert quantized.damping >= 1e-14


@pytest.mark.parametrize("grouping", [PerRow(), PerGroup(32), PerGroup(20)], ids=str)
@pytest.mark.parametrize("ranges", Ranges)
@pytest.mark.parametrize("activation_order", [False, True])
def test_a_gpu_waits_as_often_for_many_columns_as_for_few(grouping, ranges, activation_order):
    def run(d_in):
        weight, gram, _ = correlated(4, d_in, 0, dtype=torch.float32)
        settings = {"grouping": grouping, "ranges": ranges, "activation_order": activation_order}
        return waits(lambda: gptq(weight, gram.double(), bits=4, damping=0.1, **settings))

    assert run(160) == run(320) <= 6


def test_a_factor_in_float32_gives_the_codes_of_one_in_float64():
    """A weight of float64 has its factor in float64; sums in float32 move a code in a thousand, at most."""
    weight, gram, inputs = correlated(64, 256, 0, tokens=2048)
    narrow, wide = (
        gptq(weight.to(dtype), gram, bits=4, grouping=PerGroup(128)) for dtype in (torch.float32, torch.float64)
    )
    assert (narrow.precision, wide.precision) == (torch.float32, torch.float64)
    assert (narrow.codes == wide.codes).double().mean() >= 0.999
    errors = [float((inputs @ (quantized.weight.double() - weight).T).norm()) for quantized in (narrow, wide)]
    assert errors[0] == pytest.approx(errors[1], rel=1e-3)


def test_a_hessian_that_float32_cannot_factor_is_on_record():
    weight, gram, _ = correlated(4, 64, 6, tokens=5)
    assert gptq(weight.float(), gram, bits=4, grouping=PerRow(), damping=1e-7).precision == torch.float64


@pytest.mark.parametrize("size", [24, 48, 40, 64])
@pytest.mark.parametrize("ranges", [Ranges.FRESH, Ranges.STATIC])
def test_groups_that_are_no_multiple_of_the_inner_block_are_the_definition(size, ranges):
    """A fresh range looks ahead to its whole group, which must not lie across an inner block of 32."""
    weight, gram, _ = correlated(3, 150, 9, tokens=400)
    quantized = gptq(weight, gram, bits=3, grouping=PerGroup(size), ranges=ranges)
    expected = gptq_by_columns(weight, gram, 3, size, np.arange(150), static=ranges is Ranges.STATIC)
    np.testing.assert_allclose(quantized.weight.numpy(), expected, atol=1e-8)
    assert quantized.scales.shape == quantized.zero_points.shape == (3, -(-150 // size))


@pytest.mark.parametrize(
    ("size", "ranges", "lengths"),
    [
        (24, Ranges.FRESH, (120, 24)),
        (48, Ranges.FRESH, (96, 48)),
        (64, Ranges.FRESH, (128, 32)),
        (200, Ranges.FRESH, (200, 200)),
        (24, Ranges.STATIC, (120, 32)),
        (24, Ranges.REFERENCE, (128, 32)),
        (500, Ranges.FRESH, (128, 32)),
        (500, Ranges.STATIC, (128, 32)),
    ],
)
def test_blocks_hold_whole_groups_where_ranges_are_taken_on_the_way(size, ranges, lengths):
    """Inner blocks as well, where a range is fresh; one group a row, or ranges from before, bind nothing."""
    assert _blocks(128, size, 500, ranges) == lengths


def test_settings_that_are_not_given_are_those_of_the_paper():
    weight, gram, _ = correlated(4, 40, 2)
    explicit = {"symmetric": False, "damping": 0.01, "activation_order": False, "ranges": Ranges.FRESH, "block": 128}
    whole, plain = (gptq(weight, gram, bits=3, grouping=PerGroup(16), **more) for more in (explicit, {}))
    assert torch.equal(plain.codes, whole.codes) and torch.equal(plain.scales, whole.scales)
    assert GPTQ(4) == GPTQ(4, PerGroup(128), False, 0.01, False, Ranges.FRESH, None, False, 1.0)


def test_a_dead_inputs_weight_counts_for_no_range():
    weight, gram, _ = correlated(4, 12, seed=6)
    gram[3] = gram[:, 3] = 0
    weight[:, 3] = 1e6
    quantized = gptq(weight, gram, bits=4, grouping=PerRow())
    assert (quantized.weight[:, 3] == 0).all() and quantized.scales.max() < 1
