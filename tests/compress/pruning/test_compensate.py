"""The column solver: a rule that keeps every column."""

import pytest
import torch

from compress.pruning.compensate import compensated, one_by_one
from compress.pruning.factor import inverse_factor
from tests.layers import correlated


def test_compensation_is_exact_for_a_rule_that_keeps():
    weight, gram, _ = correlated(5, 30, 8)

    class Keep:
        def begin(self, columns, start, end):
            assert 0 <= start < end <= len(columns)

        def run(self, columns, first, spread, lost):
            one_by_one(columns, first, spread, lost, lambda index: columns[index].clone())

    torch.testing.assert_close(compensated(weight, inverse_factor(gram, 0.01).upper, Keep(), block=7), weight)


@pytest.mark.parametrize("block", [1, 7, 10, 64])
@pytest.mark.parametrize("inner", [None, 1, 3, 7])
def test_what_a_column_loses_is_spread_over_those_after_it_whatever_the_blocks(block, inner):
    """A rule that drops every other column, against the inverse Hessian of the columns that remain."""
    weight, gram, _ = correlated(5, 20, 9)

    class Drop:
        def begin(self, columns, start, end):
            assert (start % block, end - start) == (0, min(block, 20 - start))

        def run(self, columns, first, spread, lost):
            assert 0 < len(lost) <= min(block, inner or block) and spread.shape == (len(lost),) * 2
            one_by_one(columns, first, spread, lost, lambda index: columns[index] * (index % 2))

    found = compensated(weight, inverse_factor(gram, 0.01).upper, Drop(), block=block, inner=inner)
    expected, hessian = weight.clone(), gram + 0.01 * gram.diagonal().mean() * torch.eye(20, dtype=torch.float64)
    for index in range(0, 20, 2):
        inverse = torch.linalg.inv(hessian[index:, index:])
        expected[:, index:] -= expected[:, index : index + 1] / inverse[0, 0] * inverse[0]
        expected[:, index] = 0
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_the_weight_that_is_given_stays_as_it_is():
    weight, gram, _ = correlated(3, 6, 1)
    before = weight.clone()

    class Zero:
        def begin(self, columns, start, end):
            pass

        def run(self, columns, first, spread, lost):
            one_by_one(columns, first, spread, lost, lambda index: torch.zeros_like(columns[index]))

    assert not compensated(weight, inverse_factor(gram, 0.01).upper, Zero()).any() and torch.equal(weight, before)
