"""The rule of GPTQ's solver: which grid a column is rounded on, and when that grid is made."""

import numpy as np
import pytest
import torch

from compress.grid import fit_grid, from_codes, to_codes
from compress.pruning.compensate import compensated
from compress.pruning.factor import inverse_factor
from compress.quantization.column_rounding import LEAST_STEP, ColumnRounding, Ranges
from tests.layers import correlated
from tests.oracles import gptq_by_columns


def rule_of(weight, size, ranges=Ranges.FRESH, *, bits=3, symmetric=False, order=None):
    return ColumnRounding(
        weight, bits, size, symmetric, ranges, torch.arange(weight.shape[1]) if order is None else order
    )


@pytest.mark.parametrize("inner", [4, 6, 12])
@pytest.mark.parametrize("ranges", [Ranges.FRESH, Ranges.STATIC])
def test_columns_are_rounded_as_the_definition_has_it_in_runs_of_any_length(inner, ranges):
    """Runs inside a group are counted in its steps; runs across groups, of static ranges, go one by one."""
    size = 4 if ranges is Ranges.STATIC else 12
    weight, gram, _ = correlated(5, 24, 1)
    rule = rule_of(weight, size, ranges)
    rounded = compensated(weight, inverse_factor(gram, 0.01).upper, rule, block=12, inner=inner)
    expected = gptq_by_columns(weight, gram, 3, size, np.arange(24), static=ranges is Ranges.STATIC)
    np.testing.assert_allclose(rounded.numpy(), expected, atol=1e-9)
    codes, scales, zeros = rule.codes.T, torch.cat(rule.scales, 1), torch.cat(rule.zero_points, 1)
    assert codes.min() >= 0 and codes.max() <= 7 and torch.equal(codes, codes.round())
    torch.testing.assert_close((codes - zeros[:, rule.groups]) * scales[:, rule.groups], rounded)


def test_without_anything_to_make_up_for_columns_are_rounded_to_nearest():
    weight = torch.randn(4, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for symmetric in (False, True):
        for ranges in Ranges:
            rule = rule_of(weight, 6, ranges, symmetric=symmetric)
            rounded = compensated(weight, torch.eye(12, dtype=torch.float64), rule, block=6)
            for part in (slice(0, 6), slice(6, 12)):
                grid = fit_grid(weight[:, part], 3, symmetric=symmetric)
                torch.testing.assert_close(rounded[:, part], from_codes(to_codes(weight[:, part], grid), grid))


def test_reference_ranges_are_those_before_the_blocks_own_updates():
    """Two groups in one block: the second's range is that of the weights as they were when the block began."""
    weight, gram, _ = correlated(4, 24, 2)
    upper = inverse_factor(gram, 0.01).upper
    reference, fresh = rule_of(weight, 6, Ranges.REFERENCE), rule_of(weight, 6)
    compensated(weight, upper, reference, block=12, inner=6)
    compensated(weight, upper, fresh, block=12, inner=6)
    before = fit_grid(weight[:, 6:12], 3, symmetric=False)
    torch.testing.assert_close(reference.scales[1], before.scale)
    torch.testing.assert_close(reference.zero_points[1], before.zero_point)
    assert torch.equal(reference.scales[0], fresh.scales[0]) and not torch.equal(reference.scales[1], fresh.scales[1])
    third = fit_grid(weight[:, 12:18], 3, symmetric=False)
    assert not torch.allclose(reference.scales[2], third.scale), "updates of the block before do count"


def test_static_ranges_are_of_neighbours_whatever_the_order():
    weight, _, _ = correlated(4, 12, 3)
    order = torch.tensor([7, 0, 11, 3, 5, 1, 9, 2, 8, 10, 4, 6])
    rule = rule_of(weight[:, order], 4, Ranges.STATIC, order=order)
    for group in range(3):
        expected = fit_grid(weight[:, 4 * group : 4 * group + 4], 3, symmetric=False)
        assert torch.equal(rule.scales[group], expected.scale)
    assert torch.equal(rule.groups, order // 4)
    assert torch.equal(rule_of(weight[:, order], 4, order=order).groups, torch.arange(12) // 4)


@pytest.mark.parametrize(("share", "empty"), [(LEAST_STEP / 100, True), (LEAST_STEP * 100, False)])
def test_a_group_all_but_zero_is_given_zeros(share, empty):
    """Steps under a share of 1e-25 of the largest weight would overflow what other columns lost."""
    weight = torch.ones(2, 8, dtype=torch.float64)
    weight[:, 4:] = 7 * share
    rule = rule_of(weight, 4)
    rounded = compensated(weight, torch.eye(8, dtype=torch.float64), rule, block=4)
    assert (rounded[:, 4:] == 0).all() == empty
    assert (rule.codes[4:] == (0 if empty else 7)).all() and (rounded[:, :4] == 1).all()
