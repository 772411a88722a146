"""GPTQ and SparseGPT against plain float64 transcriptions, and the laws that need no reference."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from compress.grid import fake_quantize
from compress.pruning.compensate import compensated, inverse_factor, one_by_one
from compress.pruning.sparsegpt import SparseGPT, sparsegpt
from compress.quantization.column_rounding import Ranges
from compress.quantization.gptq import GPTQ, gptq
from compress.quantization.grouping import PerGroup, PerRow
from compress.quantization.rounding import RoundToNearest
from compress.selection import smallest
from compress.statistics import GramMatrix


def correlated(d_out, d_in, seed, tokens=200, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(d_in, d_in, generator=generator, dtype=dtype)
    inputs = torch.randn(tokens, d_in, generator=generator, dtype=dtype) @ mix
    return torch.randn(d_out, d_in, generator=generator, dtype=dtype), inputs.T @ inputs, inputs


def grid_of(members, bits):
    """Scale and zero point of one row, in numpy."""
    low, high = min(members.min(), 0.0), max(members.max(), 0.0)
    scale = max((high - low) / (2**bits - 1), np.finfo(np.float64).tiny)
    return scale, np.round(-low / scale)


def oracle_gptq(weight, gram, bits, size, order, damping=0.01, static=False):
    """Column by column, every later column updated at once (Frantar et al. 2023, eq. 2 and 3)."""
    original, w = weight.numpy().copy(), weight.numpy()[:, order].copy()
    hessian = gram.numpy()[np.ix_(order, order)].copy()
    hessian += damping * np.mean(np.diag(hessian)) * np.eye(len(hessian))
    inverse = np.linalg.inv(hessian)
    found = np.zeros_like(w)
    grids = {}
    for i in range(w.shape[1]):
        group = (order[i] if static else i) // size
        for row in range(w.shape[0]):
            if (group, row) not in grids:
                source = original if static else w
                grids[group, row] = grid_of(source[row, group * size : (group + 1) * size], bits)
            scale, zero = grids[group, row]
            found[row, i] = (np.clip(np.round(w[row, i] / scale) + zero, 0, 2**bits - 1) - zero) * scale
        error = (w[:, i] - found[:, i]) / inverse[i, i]
        w[:, i:] -= np.outer(error, inverse[i, i:])
        # Eliminate column i from the inverse: what is left is the inverse for the columns that remain.
        inverse -= np.outer(inverse[:, i], inverse[i]) / inverse[i, i]
    result = np.zeros_like(found)
    result[:, order] = found
    return result


@pytest.mark.parametrize("grouping", [PerRow(), PerGroup(8), PerGroup(5), PerGroup(100)])
@pytest.mark.parametrize(
    "activation_order, ranges", [(False, "fresh"), (True, "fresh"), (True, "static"), (False, "static")]
)
def test_gptq_is_its_definition(grouping, activation_order, ranges):
    weight, gram, _ = correlated(6, 24, seed=1)
    found = gptq(
        weight, gram, bits=3, grouping=grouping, activation_order=activation_order, ranges=Ranges(ranges), block=10
    )
    order = gram.diagonal().argsort(descending=True, stable=True).numpy() if activation_order else np.arange(24)
    size = 24 if isinstance(grouping, PerRow) else grouping.size
    expected = oracle_gptq(weight, gram, 3, size, order, static=ranges == "static")
    np.testing.assert_allclose(found.weight.numpy(), expected, atol=1e-9)
    rebuilt = (found.codes - found.zero_points[:, found.groups]) * found.scales[:, found.groups]
    torch.testing.assert_close(rebuilt, found.weight)


@given(st.integers(0, 50), st.sampled_from([1, 3, 32, 128, 256]))
@settings(max_examples=15, deadline=None)
def test_the_block_changes_nothing(seed, block):
    weight, gram, _ = correlated(5, 20, seed)
    whole = gptq(weight, gram, bits=4, grouping=PerRow(), block=64)
    assert torch.equal(gptq(weight, gram, bits=4, grouping=PerRow(), block=block).codes, whole.codes)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_identity_hessian_is_rounding(bits):
    weight = torch.randn(7, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = gptq(weight, torch.eye(40, dtype=torch.float64), bits=bits, grouping=PerGroup(16), damping=0.0)
    groups = PerGroup(16)
    expected = groups.join(fake_quantize(groups.cut(weight), bits), 40)
    torch.testing.assert_close(found.weight, expected, rtol=0, atol=0)


@pytest.mark.parametrize("magnitude", [1.0, 1e4, 1e-30])
def test_a_group_of_zeros_takes_in_what_others_lost(magnitude):
    """Its grid has the smallest of scales; steps of that would overflow in float32 where weights are large."""
    weight, gram, _ = correlated(4, 16, 6)
    weight[:, 8:] = 0
    weight = (weight * magnitude).float()
    found = gptq(weight, gram, bits=3, grouping=PerGroup(8), ranges=Ranges.STATIC)
    expected = oracle_gptq(weight.double()[:, :8], gram[:8, :8], 3, 8, np.arange(8), static=True)
    assert found.weight.isfinite().all() and (found.weight[:, 8:].abs() <= 8 * torch.finfo(torch.float32).tiny).all()
    assert found.codes.min() >= 0 and found.codes.max() <= 7
    np.testing.assert_array_equal(found.groups.numpy(), np.arange(16) // 8)
    # The first group's own errors are spread by the whole Hessian, so only its first column is the smaller problem's.
    np.testing.assert_allclose(found.weight[:, 0].double().numpy(), expected[:, 0], rtol=1e-5)


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
        found = gptq(weight, gram, bits=3, grouping=PerRow()).weight
        better += bool((inputs @ (found - weight).T).norm() < (inputs @ (rounded - weight).T).norm())
    assert better >= 19


def oracle_sparsegpt(weight, gram, sparsity, block, n_of_m=None, damping=0.01):
    w, d_in = weight.numpy().copy(), weight.shape[1]
    hessian = gram.numpy() + damping * np.mean(np.diag(gram.numpy())) * np.eye(d_in)
    inverse = np.linalg.inv(hessian)
    # U_ii² of the Cholesky factor is the i-th diagonal of the inverse once the columns before are eliminated.
    left, diagonal = inverse.copy(), np.zeros(d_in)
    for i in range(d_in):
        diagonal[i] = left[i, i]
        left = left - np.outer(left[:, i], left[i]) / left[i, i]
    mask = np.zeros_like(w, dtype=bool)
    for i in range(d_in):
        if n_of_m is None and i % block == 0:
            part = slice(i, min(i + block, d_in))
            scores = (w[:, part] ** 2 / diagonal[part]).T
            chosen = np.argsort(scores.ravel(), kind="stable")[: round(sparsity * scores.size)]
            flat = np.zeros(scores.size, dtype=bool)
            flat[chosen] = True
            mask[:, part] = flat.reshape(scores.shape).T
        if n_of_m is not None and i % n_of_m[1] == 0:
            part = slice(i, i + n_of_m[1])
            for row in range(len(w)):
                scores = w[row, part] ** 2 / diagonal[part]
                mask[row, i + np.argsort(scores, kind="stable")[: n_of_m[1] - n_of_m[0]]] = True
        kept = np.where(mask[:, i], 0, w[:, i])
        w[:, i:] -= np.outer((w[:, i] - kept) / inverse[i, i], inverse[i, i:])
        w[:, i] = kept
        inverse = inverse - np.outer(inverse[:, i], inverse[i]) / inverse[i, i]
    return w, mask


@pytest.mark.parametrize("sparsity, n_of_m", [(0.5, None), (0.3, None), (0.5, (2, 4)), (0.5, (4, 8))])
def test_sparsegpt_is_its_definition(sparsity, n_of_m):
    weight, gram, _ = correlated(6, 24, seed=2)
    found, mask, _ = sparsegpt(weight, gram, sparsity=sparsity, n_of_m=n_of_m, block=8)
    expected, expected_mask = oracle_sparsegpt(weight, gram, sparsity, 8, n_of_m)
    assert (mask.numpy() == expected_mask).all()
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)
    assert mask.sum() == 3 * round(sparsity * weight.numel() / 3)  # of each block
    assert (found[mask] == 0).all()
    if n_of_m:
        assert ((found.view(6, -1, n_of_m[1]) != 0).sum(-1) <= n_of_m[0]).all()


def test_sparsegpt_without_pruning_is_the_weight_and_with_bits_gptq():
    weight, gram, _ = correlated(6, 24, seed=4)
    found, mask, _ = sparsegpt(weight, gram, sparsity=0)
    assert torch.equal(found, weight) and not mask.any()
    rounded, _, _ = sparsegpt(weight, gram, sparsity=0, bits=3)
    torch.testing.assert_close(rounded, gptq(weight, gram, bits=3, grouping=PerRow()).weight, rtol=0, atol=0)


def test_sparsegpt_on_identity_is_magnitude_in_each_block():
    weight = torch.randn(6, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, mask, _ = sparsegpt(weight, torch.eye(24, dtype=torch.float64), sparsity=0.5, damping=0.0, block=12)
    for start in (0, 12):
        part = weight[:, start : start + 12].T.abs()
        expected = smallest(part.reshape(1, -1), 36).view(part.shape).T
        assert torch.equal(mask[:, start : start + 12], expected)
    assert torch.equal(found, weight.masked_fill(mask, 0))


def test_dead_inputs_and_rank_deficiency():
    weight, gram, _ = correlated(4, 12, seed=6, tokens=5)  # rank 5 of 12
    gram[3] = 0
    gram[:, 3] = 0
    found = gptq(weight, gram, bits=4, grouping=PerRow(), damping=1e-14)
    assert found.weight.isfinite().all() and (found.weight[:, 3] == 0).all()
    assert found.damping >= 1e-14
    factor, dead, used = inverse_factor(torch.zeros(3, 3, dtype=torch.float64), 0.01)
    assert dead.all() and used == 0.01 and factor.isfinite().all()


def test_a_damping_that_had_to_be_raised_is_on_record():
    layer = nn.Linear(4, 3)
    statistic = GramMatrix(layer)
    statistic.add(torch.ones(1, 4))
    assert "damping raised from 0 to" in GPTQ(4, PerRow(), damping=0.0)(layer, statistic).note
    assert GPTQ(4, PerRow())(layer, statistic).note == ""


def test_what_is_no_hessian_is_refused():
    with pytest.raises(ValueError, match="not positive definite"):
        inverse_factor(torch.tensor([[1.0, -5.0], [-5.0, 1.0]]), 0.01)
    with pytest.raises(ValueError, match="NaN"):
        inverse_factor(torch.full((2, 2), torch.nan), 0.01)
    with pytest.raises(ValueError, match="damping"):
        inverse_factor(torch.eye(2), -1.0)


def test_methods_store_what_they_say():
    layer = nn.Linear(24, 6)
    statistic = GramMatrix(layer)
    statistic.add(torch.randn(50, 24, generator=torch.Generator().manual_seed(0)))
    found = GPTQ(3, PerGroup(8))(layer, statistic)
    assert found.storage.total_bits == RoundToNearest(3, PerGroup(8))(layer, None).storage.total_bits
    assert str(GPTQ(4, activation_order=True, ranges=Ranges.STATIC)) == "gptq-w4-g128-actorder-static"
    half = SparseGPT(0.5, (2, 4))(layer, statistic)
    assert half.sparsity() == 0.5 and half.storage.total_bits == 72 * (32 + 2)
    with pytest.raises(ValueError, match="into groups of 4"):
        SparseGPT(0.5, (2, 4))(nn.Linear(6, 2), _statistic(6))
    with pytest.raises(ValueError, match=r"2:4 sparsity is 0\.5"):
        SparseGPT(0.25, (2, 4))
    with pytest.raises(TypeError, match="calibrate"):
        GPTQ(4)(layer, None)


def _statistic(d_in):
    statistic = GramMatrix(nn.Linear(d_in, 1))
    statistic.add(torch.randn(20, d_in, generator=torch.Generator().manual_seed(1)))
    return statistic


def test_compensation_is_exact_for_a_rule_that_keeps():
    weight, gram, _ = correlated(5, 30, 8)

    class Keep:
        def begin(self, columns, start, end):
            assert 0 <= start < end <= len(columns)

        def run(self, columns, first, spread, lost):
            one_by_one(columns, first, spread, lost, lambda index: columns[index].clone())

    torch.testing.assert_close(compensated(weight, inverse_factor(gram, 0.01)[0], Keep(), block=7), weight)
