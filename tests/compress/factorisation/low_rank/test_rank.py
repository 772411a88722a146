"""Ranks are as large as a share of the parameters allows, and what makes a layer no smaller is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.factorisation.low_rank.rank import Rank, check_rank, largest_rank, rank_of_share

SIDES = st.integers(1, 300)


@given(SIDES, SIDES, st.floats(0.01, 0.99))
def test_factors_have_at_most_the_share_and_one_rank_more_would_not(d_out, d_in, share):
    rank = rank_of_share(d_out, d_in, share)
    assert rank * (d_out + d_in) <= share * d_out * d_in * (1 + 1e-12)
    assert (rank + 1) * (d_out + d_in) > share * d_out * d_in * (1 - 1e-12)


@given(SIDES, SIDES)
def test_the_largest_rank_is_the_last_that_makes_a_layer_smaller(d_out, d_in):
    rank = largest_rank(d_out, d_in)
    assert rank * (d_out + d_in) < d_out * d_in <= (rank + 1) * (d_out + d_in)


@pytest.mark.parametrize(("rank", "most"), [(0, 4), (5, 4), (-1, 4)])
def test_a_rank_that_a_weight_does_not_have_is_refused(rank, most):
    with pytest.raises(ValueError, match=rf"rank {rank} of a 4 x 9 weight; it has 4 singular values, give 1 to {most}"):
        check_rank(rank, 4, 9)


def test_a_rank_that_makes_a_layer_no_smaller_is_refused():
    assert Rank(None, 4).of(10, 10) == 4
    with pytest.raises(ValueError, match=r"0\.q: rank 5 makes its 10 x 10 weight no smaller, which needs at most 4"):
        Rank(None, 5).of(10, 10, "0.q")


def test_a_share_below_rank_one_is_refused():
    with pytest.raises(ValueError, match=r"0\.q: a share of 0\.1 is less than rank 1 .* at least 0\.2 or leave"):
        Rank(0.1, None).of(10, 10, "0.q")


@pytest.mark.parametrize(("share", "rank"), [(None, None), (0.5, 3), (0.0, None), (1.0, None), (None, 0)])
def test_one_of_share_and_rank_is_given_and_within_its_bounds(share, rank):
    with pytest.raises(ValueError, match=r"(share|rank) is"):
        Rank(share, rank)


def test_a_nan_share_is_refused():
    with pytest.raises(ValueError, match="share is nan"):
        Rank(float("nan"), None)
