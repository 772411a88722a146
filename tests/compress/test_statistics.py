"""Statistics of inputs are the same in one batch or in several, and by parts or as a whole."""

import pytest
import torch
from torch import nn

from compress.statistics import GramMatrix, SquaredInputs


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
