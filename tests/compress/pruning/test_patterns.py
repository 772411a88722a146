"""N:M patterns keep n weights in every run of m."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compress.pruning.patterns import check_pattern, index_bits, smallest_n_of_m


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


@pytest.mark.parametrize(("n", "m"), [(1, 4), (2, 4), (3, 4), (4, 4), (1, 1), (7, 8)])
def test_a_pattern_goes_with_the_sparsity_that_it_leaves(n, m):
    check_pattern((n, m), 1 - n / m)
    check_pattern(None, 0.123)
    for other in (n / m + 0.01, 1 - n / m + 0.01, 1 - n / m - 1e-6):
        with pytest.raises(ValueError, match=rf"{n}:{m} sparsity is {1 - n / m:g}, not"):
            check_pattern((n, m), other)


@pytest.mark.parametrize(("n", "m"), [(0, 4), (-1, 4), (5, 4)])
def test_a_pattern_keeps_one_of_m_at_least_and_all_at_most(n, m):
    with pytest.raises(ValueError, match=f"cannot keep {n} of every {m} weights"):
        check_pattern((n, m), 1 - n / m)


@pytest.mark.parametrize(("pattern", "bits"), [((2, 4), 2), ((1, 2), 1), ((4, 8), 3), ((1, 5), 3), ((1, 1), 0)])
def test_a_place_among_m_takes_as_many_bits_as_its_last_number(pattern, bits):
    assert index_bits(pattern) == bits


def test_the_lowest_go_run_by_run():
    scores = torch.tensor([[4.0, 1, 3, 2, 8, 7, 6, 5]])
    assert smallest_n_of_m(scores, 3, 4).int().tolist() == [[0, 1, 1, 1, 0, 1, 1, 1]]
    assert smallest_n_of_m(scores, 1, 4).int().tolist() == [[0, 1, 0, 0, 0, 0, 0, 1]]
