"""SparseGPT against a plain float64 transcription, and the laws that need no reference."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from torch import nn

from compress.pruning.sparsegpt import SparseGPT, sparsegpt
from compress.quantization.gptq import gptq
from compress.quantization.grouping import PerRow
from compress.selection import smallest
from compress.statistics import GramMatrix
from tests.layers import correlated, measured, waits


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
    pruned, mask, *_ = sparsegpt(weight, gram, sparsity=sparsity, n_of_m=n_of_m, block=8)
    expected, expected_mask = oracle_sparsegpt(weight, gram, sparsity, 8, n_of_m)
    assert (mask.numpy() == expected_mask).all()
    np.testing.assert_allclose(pruned.numpy(), expected, atol=1e-9)
    assert mask.sum() == 3 * round(sparsity * weight.numel() / 3)  # of each block
    assert (pruned[mask] == 0).all()
    if n_of_m:
        assert ((pruned.view(6, -1, n_of_m[1]) != 0).sum(-1) <= n_of_m[0]).all()


def test_sparsegpt_without_pruning_is_the_weight_and_with_bits_gptq():
    weight, gram, _ = correlated(6, 24, seed=4)
    kept, mask, *_ = sparsegpt(weight, gram, sparsity=0)
    assert torch.equal(kept, weight) and not mask.any()
    rounded, *_ = sparsegpt(weight, gram, sparsity=0, bits=3)
    torch.testing.assert_close(rounded, gptq(weight, gram, bits=3, grouping=PerRow()).weight, rtol=0, atol=0)


def test_sparsegpt_on_identity_is_magnitude_in_each_block():
    weight = torch.randn(6, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pruned, mask, *_ = sparsegpt(weight, torch.eye(24, dtype=torch.float64), sparsity=0.5, damping=0.0, block=12)
    for start in (0, 12):
        part = weight[:, start : start + 12].T.abs()
        expected = smallest(part.reshape(1, -1), 36).view(part.shape).T
        assert torch.equal(mask[:, start : start + 12], expected)
    assert torch.equal(pruned, weight.masked_fill(mask, 0))


def test_the_pattern_is_stored_and_must_fit():
    layer = nn.Linear(24, 6)
    statistic = measured(layer, torch.randn(50, 24, generator=torch.Generator().manual_seed(0)), GramMatrix)
    half = SparseGPT(0.5, (2, 4))(layer, statistic)
    assert half.sparsity() == 0.5 and half.storage.total_bits == 72 * (32 + 2)
    narrow = nn.Linear(6, 2)
    with pytest.raises(ValueError, match="into groups of 4"):
        SparseGPT(0.5, (2, 4))(narrow, measured(narrow, torch.randn(20, 6), GramMatrix))
    with pytest.raises(ValueError, match=r"2:4 sparsity is 0\.5"):
        SparseGPT(0.25, (2, 4))


@pytest.mark.parametrize("n_of_m, bits", [(None, None), ((2, 4), None), (None, 4)])
def test_a_gpu_waits_as_often_for_many_columns_as_for_few(n_of_m, bits):
    def run(d_in):
        weight, gram, _ = correlated(4, d_in, 0, dtype=torch.float32)
        return waits(lambda: sparsegpt(weight, gram.double(), sparsity=0.5, n_of_m=n_of_m, bits=bits, damping=0.1))

    assert run(160) == run(320) <= 6


def test_a_factor_in_float32_gives_the_mask_of_one_in_float64():
    weight, gram, _ = correlated(64, 256, 0, tokens=2048)
    narrow, wide = (sparsegpt(weight.to(dtype), gram, sparsity=0.5) for dtype in (torch.float32, torch.float64))
    assert (narrow.precision, wide.precision) == (torch.float32, torch.float64)
    assert (narrow.mask == wide.mask).double().mean() >= 0.999


@pytest.mark.parametrize("n_of_m", [(1, 4), (3, 4), (1, 3), (5, 6), (1, 24), (3, 48)])
@pytest.mark.parametrize("bits", [None, 4])
def test_any_pattern_is_its_definition_in_blocks_of_any_length(n_of_m, bits):
    """Blocks and inner blocks are cut to whole runs of m, of 3, 6, 24 and 48 among them, which 32 is no multiple of."""
    n, m = n_of_m
    weight, gram, _ = correlated(3, 144, 3, tokens=400)
    pruned = sparsegpt(weight, gram, sparsity=1 - n / m, n_of_m=n_of_m, bits=bits, block=50)
    if bits is None:
        expected, mask = oracle_sparsegpt(weight, gram, 1 - n / m, 50, n_of_m)
        np.testing.assert_array_equal(pruned.mask.numpy(), mask)
        np.testing.assert_allclose(pruned.weight.numpy(), expected, atol=1e-8)
    assert ((~pruned.mask).view(3, -1, m).sum(-1) == n).all() and (pruned.weight[pruned.mask] == 0).all()
    if bits is not None:
        assert all(len(row.unique()) <= 16 for row in pruned.weight)


def test_a_short_last_block_loses_its_share_too():
    weight, gram, _ = correlated(4, 20, 5)
    pruned, mask, *_ = sparsegpt(weight, gram, sparsity=0.5, block=8)
    expected, expected_mask = oracle_sparsegpt(weight, gram, 0.5, 8)
    np.testing.assert_array_equal(mask.numpy(), expected_mask)
    np.testing.assert_allclose(pruned.numpy(), expected, atol=1e-9)
    assert [int(part.sum()) for part in mask.split(8, dim=1)] == [16, 16, 8]


def test_inputs_that_were_always_zero_get_weight_zero():
    weight, gram, _ = correlated(4, 12, 6)
    gram[3] = gram[:, 3] = 0
    for bits in (None, 4):
        assert (sparsegpt(weight, gram, sparsity=0, bits=bits).weight[:, 3] == 0).all()


def layer_and_statistic(d_in=24):
    layer = nn.Linear(d_in, 6)
    return layer, measured(layer, torch.randn(50, d_in, generator=torch.Generator().manual_seed(0)), GramMatrix)


@pytest.mark.parametrize(
    ("method", "kept", "mask_bits"),
    [
        (SparseGPT(0.25), 108, 144),
        (SparseGPT(0.25, (3, 4)), 108, 108 * 2),
        (SparseGPT(0.75, (1, 4)), 36, 36 * 2),
    ],
)
def test_storage_is_what_was_kept_and_where(method, kept, mask_bits):
    layer, statistic = layer_and_statistic()
    storage = method(layer, statistic).storage
    assert (storage.value_bits, storage.mask_bits, storage.scale_bits) == (kept * 32, mask_bits, 0)
    rounded = replace(method, bits=3)(layer, statistic).storage
    assert (rounded.value_bits, rounded.mask_bits) == (kept * 3, mask_bits)
    assert (rounded.scale_bits, rounded.zero_point_bits, rounded.held_bits) == (6 * 32, 6 * 3, 144 * 32)
    assert rounded.weights == storage.weights == 144


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (SparseGPT(0.5), "sparsegpt-0.5"),
        (SparseGPT(0.75, (1, 4), 3), "sparsegpt-0.75-1of4-w3"),
        (SparseGPT(0.5, true_sequential=True, first_token_weight=2), "sparsegpt-0.5-sequential-first-2"),
    ],
)
def test_names_tell_what_differs_from_the_usual(method, name):
    assert str(method) == name


def test_settings_that_are_not_given_are_those_of_the_paper():
    assert SparseGPT(0.5) == SparseGPT(0.5, None, None, 0.01, False, 1.0)
    weight, gram, _ = correlated(4, 200, 0, tokens=400)
    whole, plain = (sparsegpt(weight, gram, sparsity=0.4, **more) for more in ({"damping": 0.01, "block": 128}, {}))
    assert torch.equal(whole.weight, plain.weight) and torch.equal(whole.mask, plain.mask)
    with pytest.raises(FrozenInstanceError):
        SparseGPT(0.5).sparsity = 0.4


@pytest.mark.parametrize("settings", [{"bits": 1}, {"first_token_weight": 0.0}, {"n_of_m": (0, 4)}])
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(ValueError, match=r"bits is 1|above 0|cannot keep 0"):
        SparseGPT(0.5, **settings)


def test_a_damping_that_had_to_be_raised_is_on_record():
    layer = nn.Linear(4, 3)
    statistic = GramMatrix(layer)
    statistic.add(torch.ones(1, 4))
    assert "damping raised from 0 to" in SparseGPT(0.5, damping=0.0)(layer, statistic).note
    assert SparseGPT(0.5)(layer, statistic).note == ""
