"""The column solver: its factor of the Hessian, and a rule that keeps every column."""

import pytest
import torch

from compress.pruning.compensate import compensated, inverse_factor, one_by_one
from tests.layers import correlated


def test_compensation_is_exact_for_a_rule_that_keeps():
    weight, gram, _ = correlated(5, 30, 8)

    class Keep:
        def begin(self, columns, start, end):
            assert 0 <= start < end <= len(columns)

        def run(self, columns, first, spread, lost):
            one_by_one(columns, first, spread, lost, lambda index: columns[index].clone())

    torch.testing.assert_close(compensated(weight, inverse_factor(gram, 0.01)[0], Keep(), block=7), weight)


def test_what_is_no_hessian_is_refused():
    with pytest.raises(ValueError, match="not positive definite"):
        inverse_factor(torch.tensor([[1.0, -5.0], [-5.0, 1.0]]), 0.01)
    with pytest.raises(ValueError, match="NaN"):
        inverse_factor(torch.full((2, 2), torch.nan), 0.01)
    with pytest.raises(ValueError, match="damping"):
        inverse_factor(torch.eye(2), -1.0)


def test_inputs_that_are_always_zero_are_told_and_raise_no_damping():
    factor, dead, used = inverse_factor(torch.zeros(3, 3, dtype=torch.float64), 0.01)
    assert dead.all() and used == 0.01 and factor.isfinite().all()
