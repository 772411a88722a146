"""Exactly as many are selected as asked, those with the lowest scores, ties included."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compress.selection import check_fraction, first_true, layer_generator, removed_count, smallest
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


@pytest.mark.parametrize(("sparsity", "members", "count"), [(0.29, 100, 29), (0.3, 10, 3), (0.1, 576, 58), (0.0, 7, 0)])
def test_the_count_is_the_nearest_whole_number(sparsity, members, count):
    assert removed_count(sparsity, members) == count


@pytest.mark.parametrize("value", [0.0, 0.5, 0.999])
def test_fractions_below_one_are_accepted(value):
    check_fraction("sparsity", value)


@pytest.mark.parametrize("value", [-0.001, 1.0, 1.5, float("nan")])
def test_other_fractions_are_refused_by_name(value):
    with pytest.raises(ValueError, match=f"sparsity is {value}; it must be at least 0 and below 1"):
        check_fraction("sparsity", value)


def test_the_first_of_those_that_are_true_are_taken_row_by_row():
    mask = torch.tensor([[True, False, True, True], [False, True, True, False]])
    assert first_true(mask, torch.tensor([[2], [1]])).int().tolist() == [[1, 0, 1, 0], [0, 1, 0, 0]]
    assert not first_true(mask, torch.tensor([[0], [0]])).any()


def test_random_numbers_depend_on_seed_and_name_alone():
    draws = {
        pair: torch.rand(3, generator=layer_generator(*pair))
        for pair in ((0, "a"), (1, "a"), (0, "b"), (11, ""), (1, "1 "))
    }
    assert torch.equal(draws[0, "a"], torch.rand(3, generator=layer_generator(0, "a")))
    assert len({tuple(draw.tolist()) for draw in draws.values()}) == len(draws)
