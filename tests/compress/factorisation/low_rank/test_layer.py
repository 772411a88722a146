"""A low-rank layer computes what its factors say, and is as small as it says."""

import pytest
import torch

from compress.factorisation.low_rank.decompose import truncated_svd
from compress.factorisation.low_rank.layer import LowRankLinear
from tests.layers import random


def layer_with(residual=None, bias=True, dtype=torch.float64):
    factors = truncated_svd(random(6, 9).to(dtype), 2)
    own = random(6, seed=2).to(dtype) if bias else None
    return LowRankLinear(*factors, own, residual=residual)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sparse", [True, False])
def test_outputs_are_those_of_the_matrix_it_stands_for(bias, sparse):
    residual = random(6, 9, seed=3) * (random(6, 9, seed=4) > 1) if sparse else None
    layer, inputs = layer_with(residual, bias), random(2, 5, 9, seed=5)
    expected = inputs @ (layer.left @ layer.right).T
    expected = expected + (inputs @ residual.T if sparse else 0) + (layer.bias if bias else 0)
    torch.testing.assert_close(layer(inputs), expected)
    torch.testing.assert_close(layer.dense()(inputs), expected)


def test_storage_is_the_bits_of_both_factors():
    storage = layer_with(dtype=torch.bfloat16).storage
    assert storage.total_bits == 2 * (6 + 9) * 16 == storage.held_bits
    assert storage.weights == 54 and storage.bits_per_weight == 480 / 54 and not storage.simulated


def test_a_residual_counts_its_values_and_a_mask_and_is_held_with_its_zeros():
    residual = torch.zeros(6, 9, dtype=torch.float64)
    residual[2, 3] = residual[5, 0] = 1.0
    storage = layer_with(residual).storage
    assert storage.value_bits == (2 * (6 + 9) + 2) * 64 and storage.mask_bits == 54
    assert storage.weights == 54 and storage.held_bits == (30 + 54) * 64 and storage.simulated


def test_operations_are_those_of_the_factors():
    assert layer_with().operations(10) == 2 * 10 * 2 * (6 + 9)


def test_factors_that_do_not_meet_are_refused():
    with pytest.raises(ValueError, match=r"factors are \(6, 2\) and \(3, 9\); give \[d_out, r\] and \[r, d_in\]"):
        LowRankLinear(torch.zeros(6, 2), torch.zeros(3, 9), None)
    with pytest.raises(ValueError, match=r"residual of \(9, 6\) beside 6 x 9"):
        LowRankLinear(torch.zeros(6, 2), torch.zeros(2, 9), None, residual=torch.zeros(9, 6))


def test_drawn_factors_keep_the_root_mean_square_of_the_weight():
    """Over many entries the mean of squares is within a few percent of its expectation."""
    layer = LowRankLinear(*truncated_svd(random(300, 200), 40), None)
    before = layer.weight().square().mean()
    layer.redraw(torch.Generator().manual_seed(1))
    torch.testing.assert_close(layer.weight().square().mean(), before, rtol=0.1, atol=0)


def test_sparsity_is_that_of_the_matrix_it_stands_for():
    layer = LowRankLinear(torch.tensor([[1.0], [0.0]]), torch.ones(1, 4), None)
    assert layer.sparsity() == 0.5
