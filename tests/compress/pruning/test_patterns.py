"""N:M patterns keep n weights in every run of m."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compress.pruning.patterns import smallest_n_of_m


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
