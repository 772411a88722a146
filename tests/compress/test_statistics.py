"""Statistics of inputs are the same in one batch or in several, and by parts or as a whole."""

import pytest
import torch
from torch import nn

from compress.statistics import GramMatrix, Magnitudes, SquaredInputs, gram_matrix


def test_statistics_in_two_parts_are_statistics_in_one(tokens):
    layer, values = nn.Linear(6, 2), torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0))
    whole, parts = SquaredInputs(layer), SquaredInputs(layer)
    whole.add(values)
    parts.add(values[:1])
    parts.add(values[1:])
    assert parts.tokens == whole.tokens == 20
    torch.testing.assert_close(parts.mean, whole.mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(whole.sum, values.double().square().sum((0, 1)).float(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("d_in", [1, 3, 4, 9, 64])
def test_gram_matrix_by_parts_is_the_whole(d_in):
    inputs = torch.randn(2, 7, d_in, generator=torch.Generator().manual_seed(0))
    statistic = GramMatrix(nn.Linear(d_in, 1))
    for part in inputs:
        statistic.add(part[None])
    flat = inputs.flatten(0, 1).double()
    torch.testing.assert_close(statistic.sum, flat.T @ flat, rtol=1e-5, atol=1e-5)
    assert torch.equal(statistic.sum, statistic.sum.T) and statistic.tokens == 14


@pytest.mark.parametrize("weight", [0.5, 100.0])
def test_a_weight_of_first_tokens_counts_them_so_many_times(weight):
    inputs = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(1))
    statistic = gram_matrix(weight)(nn.Linear(5, 1))
    statistic.add(inputs)
    weights = torch.ones(3, 7, dtype=torch.float64)
    weights[:, 0] = weight
    expected = torch.einsum("bt,bti,btj->ij", weights, inputs.double(), inputs.double())
    torch.testing.assert_close(statistic.sum, expected, rtol=1e-5, atol=1e-4)  # products in float32
    assert statistic.tokens == 21


def test_first_tokens_that_weigh_one_are_plain():
    assert gram_matrix(1) is GramMatrix


def test_first_tokens_must_be_told():
    with pytest.raises(ValueError, match=r"inputs \(4, 5\) do not say which tokens are first"):
        gram_matrix(2)(nn.Linear(5, 1)).add(torch.zeros(4, 5))


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_weights_that_mean_nothing_are_refused(weight):
    with pytest.raises(ValueError, match="must be a finite number above 0"):
        gram_matrix(weight)


def test_magnitudes_in_parts_are_the_whole():
    inputs = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(2))
    statistic = Magnitudes(nn.Linear(5, 1))
    for part in inputs:
        statistic.add(part)
    torch.testing.assert_close(statistic.sum, inputs.double().abs().sum((0, 1)).float(), rtol=1e-6, atol=0)
    assert statistic.tokens == 21
