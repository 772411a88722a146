"""Exactly as many weights go as asked, the least important ones, ties included."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compress.pruning.magnitude import smallest_across
from compress.pruning.patterns import smallest_n_of_m
from compress.pruning.wanda import wanda_scores
from compress.selection import removed_count, smallest
from tests.oracles import lowest

few_values = st.sampled_from([0.0, 1e-45, 0.5, 0.5000001, 1.0, 2.0])  # ties are the rule
tables = st.integers(1, 12).flatmap(
    lambda n: st.lists(st.lists(few_values, min_size=n, max_size=n), min_size=1, max_size=5)
)


@given(tables, st.data())
def test_each_row_loses_its_lowest_scores_and_the_first_of_equals(table, data):
    scores = torch.tensor(table)
    count = data.draw(st.integers(0, scores.shape[1]))
    mask = smallest(scores, count)
    assert mask.sum(-1).tolist() == [count] * len(scores)
    expected = np.stack([lowest(row, count) for row in scores.numpy()])
    assert torch.equal(mask, torch.from_numpy(expected))


@given(tables, tables, st.data())
def test_one_threshold_for_several_tensors_is_one_long_row(first, second, data):
    tensors = [torch.tensor(first), torch.tensor(second)]
    joined = torch.cat([tensor.flatten() for tensor in tensors])
    count = data.draw(st.integers(0, len(joined)))
    found = torch.cat([mask.flatten() for mask in smallest_across(tensors, count)])
    assert torch.equal(found, smallest(joined[None], count)[0])


@given(st.integers(1, 4), st.integers(1, 5), st.sampled_from([(2, 4), (1, 2), (1, 4), (4, 8)]), st.integers(0, 2**31))
def test_n_of_m_keeps_n_in_every_run(rows, runs, pattern, seed):
    n, m = pattern
    scores = torch.rand(rows, runs * m, generator=torch.Generator().manual_seed(seed))
    mask = smallest_n_of_m(scores, m - n, m)
    assert (mask.view(rows, runs, m).sum(-1) == m - n).all()
    kept_least = scores.view(rows, runs, m).masked_fill(mask.view(rows, runs, m), torch.inf).amin(-1)
    gone_most = scores.view(rows, runs, m).masked_fill(~mask.view(rows, runs, m), -torch.inf).amax(-1)
    assert (gone_most <= kept_least).all()


def test_n_of_m_says_which_numbers_do_not_fit():
    with pytest.raises(ValueError, match="cannot cut 6 inputs into groups of 4 for 2:4"):
        smallest_n_of_m(torch.rand(2, 6), 2, 4)


@pytest.mark.parametrize(("sparsity", "members", "count"), [(0.29, 100, 29), (0.3, 10, 3), (0.1, 576, 58), (0.0, 7, 0)])
def test_the_count_is_the_nearest_whole_number(sparsity, members, count):
    assert removed_count(sparsity, members) == count


def test_wanda_with_equal_inputs_is_magnitude_and_follows_their_scale():
    weight = torch.randn(5, 9, generator=torch.Generator().manual_seed(0))
    equal = smallest(wanda_scores(weight, torch.full((9,), 3.7)), 4)
    assert torch.equal(equal, smallest(weight.abs(), 4))
    squares = torch.rand(9, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        wanda_scores(weight, squares).double(), weight.double().abs() * squares.double().sqrt(), rtol=2e-7, atol=0
    )


def test_scaling_an_input_and_unscaling_its_column_changes_no_wanda_mask():
    generator = torch.Generator().manual_seed(3)
    weight, squares = torch.randn(6, 8, generator=generator), torch.rand(8, generator=generator)
    factor = 2.0 ** torch.arange(-4, 4)  # powers of two: no rounding
    before = smallest(wanda_scores(weight, squares), 3)
    assert torch.equal(smallest(wanda_scores(weight / factor, squares * factor**2), 3), before)
