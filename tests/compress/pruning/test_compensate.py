"""The column solver: a rule that keeps every column."""

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
