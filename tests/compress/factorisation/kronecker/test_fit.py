"""Factors fitted to inputs, and rows and columns moved: the error never rises."""

import itertools

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from compress.factorisation.kronecker.fit import fit_to_inputs, gram_error, permuted_van_loan
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
