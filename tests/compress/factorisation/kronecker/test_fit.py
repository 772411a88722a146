"""Factors fitted to inputs, and rows and columns moved: the error never rises."""

import itertools
from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from compress.factorisation.kronecker.fit import (
    _assigned,
    _solved,
    fit_to_inputs,
    gram_error,
    permuted_van_loan,
)
from compress.factorisation.kronecker.linear import KroneckerLinear
from compress.factorisation.kronecker.sums import materialise, van_loan
from tests.layers import random

sides = st.integers(1, 5)
seeds = st.integers(0, 2**31)


@given(sides, sides, sides, sides, st.integers(1, 3), seeds)
def test_fit_to_white_inputs_is_van_loan(m, n, p, q, k, seed):
    """With G = I alternating least squares has Van Loan's as a fixed point."""
    assume(k <= min(m * n, p * q))
    weight = random(m * p, n * q, seed=seed)
    start = van_loan(weight, (m, n), k)
    _, errors = fit_to_inputs(weight, torch.eye(n * q, dtype=torch.float64), start)
    assert errors[-1] == pytest.approx(errors[0], rel=1e-9, abs=1e-18)


@given(st.integers(2, 4), sides, st.integers(2, 3), sides, st.integers(1, 2), seeds, st.integers(0, 3))
def test_fit_to_inputs_never_rises_and_beats_its_start(m, n, p, q, k, seed, dead):
    """On correlated inputs, some of them dead; the error is that of the outputs."""
    weight, d_in = random(m * p, n * q, seed=seed), n * q
    inputs = random(3 * d_in, d_in, seed=seed + 1) @ random(d_in, d_in, seed=seed + 2)
    inputs[:, :dead] = 0
    gram = inputs.T @ inputs
    start = van_loan(weight, (m, n), min(k, m * n, p * q))
    fitted, errors = fit_to_inputs(weight, gram, start)
    assert all(later <= earlier for earlier, later in itertools.pairwise(errors))
    outputs = inputs @ (weight - materialise(*fitted)).T
    assert errors[-1] == pytest.approx(outputs.square().sum().item(), rel=1e-6, abs=1e-8 * gram.trace().item())


def test_fit_to_inputs_solves_each_half_exactly():
    """At the end neither half-step's normal equations leave a gradient, by autograd of the error itself."""
    weight, inputs = random(12, 10, seed=3), random(50, 10, seed=4) @ random(10, 10, seed=5)
    gram = inputs.T @ inputs
    fitted, _ = fit_to_inputs(weight, gram, van_loan(weight, (4, 5), 2), sweeps=4000)
    first, second = (factor.clone().requires_grad_() for factor in fitted)
    difference = weight - materialise(first, second)
    ((difference @ gram) * difference).sum().backward()
    scale = gram_error(weight, gram)
    assert first.grad.abs().max() < 1e-3 * scale and second.grad.abs().max() < 1e-3 * scale


def test_fit_to_inputs_refuses_a_gram_of_another_size():
    with pytest.raises(ValueError, match=r"\(5, 5\)"):
        fit_to_inputs(random(4, 6), torch.eye(5, dtype=torch.float64), van_loan(random(4, 6), (2, 3)))


@given(st.integers(2, 4), st.integers(2, 4), st.integers(2, 3), st.integers(1, 3), seeds, st.booleans())
def test_permutation_search_never_raises_the_error(m, n, p, q, seed, columns):
    weight = random(m * p, n * q, seed=seed)
    moved = permuted_van_loan(weight, (m, n), 1, columns=columns)
    assert all(later <= earlier for earlier, later in itertools.pairwise(moved.errors))
    assert moved.errors[-1] == pytest.approx((weight - moved.weight()).square().sum().item(), rel=1e-9)
    assert sorted(moved.rows.tolist()) == list(range(m * p))
    assert sorted(moved.columns.tolist()) == list(range(n * q))
    layer = KroneckerLinear(moved.first, moved.second, None, rows=moved.rows, columns=moved.columns)
    inputs = random(3, n * q, seed=seed + 1)
    torch.testing.assert_close(layer(inputs), inputs @ moved.weight().T, rtol=0, atol=1e-12)


def test_permutation_search_finds_a_shuffled_product():
    """Rows of a Kronecker product in another order: a plain decomposition misses, the search does not."""
    weight = materialise(random(1, 6, 4, seed=1), random(1, 2, 3, seed=2))
    shuffled = weight[torch.randperm(12, generator=torch.Generator().manual_seed(3))]
    moved = permuted_van_loan(shuffled, (6, 4), rounds=50, columns=False)
    assert moved.errors[-1] < 0.7 * moved.errors[0]


def test_a_gram_matrix_that_is_not_finite_is_refused():
    gram = torch.eye(6, dtype=torch.float64)
    gram[2, 2] = torch.nan
    with pytest.raises(ValueError, match="finite entries"):
        fit_to_inputs(random(4, 6), gram, van_loan(random(4, 6), (2, 3)))


def test_sweeps_are_at_most_those_asked_and_end_where_nothing_is_gained():
    weight, inputs = random(12, 10, seed=3), random(50, 10, seed=4) @ random(10, 10, seed=5)
    gram, start = inputs.T @ inputs, van_loan(weight, (4, 5), 2)
    (first, _), errors = fit_to_inputs(weight, gram, start, sweeps=0)
    assert len(errors) == 1 and torch.equal(first, start[0])
    assert len(fit_to_inputs(weight, gram, start, sweeps=2)[1]) == 3
    (_, errors), (_, usual) = (fit_to_inputs(weight, gram, start, **more) for more in ({"sweeps": 10}, {}))
    assert errors == usual
    _, long = fit_to_inputs(weight, gram, start, sweeps=5000)
    gains = [(before - after) / before for before, after in itertools.pairwise(long)]
    assert len(long) < 5000 and all(gain > 1e-6 for gain in gains[:-1]) and gains[-1] <= 1e-6


@pytest.mark.parametrize("rank", [0, 1, 3, 5])
def test_singular_equations_have_the_solution_of_least_norm(rank):
    half, target = random(5, rank, seed=1), random(5, 2, seed=2)
    normal = half @ half.T
    torch.testing.assert_close(_solved(normal, target), torch.linalg.pinv(normal, hermitian=True) @ target)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_equations_that_are_all_but_singular_are_solved_where_the_matrix_reaches(scale):
    """A direction of 1e-14 of the largest is rounding, and not divided by; one of 1e-9 counts."""
    basis = torch.linalg.qr(random(3, 3, seed=3))[0]
    normal = scale * basis @ torch.diag(torch.tensor([1.0, 1e-9, 1e-14], dtype=torch.float64)) @ basis.T
    solution = basis.T @ _solved((normal + normal.T) / 2, basis.sum(1, keepdim=True))
    assert solution[:, 0].tolist() == [
        pytest.approx(1 / scale, rel=1e-6),
        pytest.approx(1e9 / scale, rel=1e-4),
        pytest.approx(0, abs=1e3 / scale),
    ]


def test_columns_stay_where_they_are_unless_asked():
    weight = materialise(random(1, 6, 4, seed=1), random(1, 2, 2, seed=2))
    weight = weight[torch.randperm(12, generator=torch.Generator().manual_seed(3))]
    rows_only = permuted_van_loan(weight, (6, 4), columns=False)
    assert torch.equal(rows_only.columns, torch.arange(8))
    both = permuted_van_loan(weight, (6, 4))
    assert both.errors == permuted_van_loan(weight, (6, 4), 1, rounds=5, columns=True).errors
    assert len(permuted_van_loan(weight, (6, 4), rounds=1).errors) <= 2 < len(both.errors)
    assert permuted_van_loan(weight, (6, 4), rounds=0).errors == both.errors[:1]
    with pytest.raises(FrozenInstanceError):
        both.errors = []


def test_a_product_whose_rows_and_columns_were_shuffled_is_found_again_mostly():
    """With both orders lost the search is a local one; it halves the error at least."""
    weight = materialise(random(1, 6, 4, seed=1), random(1, 2, 3, seed=2))
    rows, columns = (torch.randperm(n, generator=torch.Generator().manual_seed(n)) for n in weight.shape)
    moved = permuted_van_loan(weight[rows][:, columns], (6, 4), rounds=50)
    assert moved.errors[-1] < 0.5 * moved.errors[0]


def test_rows_are_assigned_to_the_nearest_candidates():
    candidates, order = random(6, 4, seed=1), torch.tensor([3, 0, 5, 1, 4, 2])
    assert torch.equal(_assigned(candidates[order] + 0.01 * random(6, 4, seed=2), candidates), order)


@pytest.mark.parametrize("scale", [2.0**-20, 2.0**20])
def test_the_search_does_not_depend_on_the_weights_scale(scale):
    """Powers of two are exact; an error below 1 counts as one above."""
    weight = materialise(random(1, 6, 4, seed=1), random(1, 2, 2, seed=2))
    weight = weight[torch.randperm(12, generator=torch.Generator().manual_seed(3))]
    moved, scaled = (permuted_van_loan(factor * weight, (6, 4), rounds=50) for factor in (1.0, scale))
    assert torch.equal(moved.rows, scaled.rows) and torch.equal(moved.columns, scaled.columns)
    assert scaled.errors == pytest.approx([error * scale**2 for error in moved.errors]) and len(moved.errors) > 2
