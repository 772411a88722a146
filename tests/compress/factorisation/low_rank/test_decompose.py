"""Factors are the best of their rank, in each norm that they are made for."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compress.factorisation.low_rank.decompose import (
    input_weighted_svd,
    row_weighted_svd,
    singular_values,
    truncated_svd,
)
from tests.layers import correlated, random

CASES = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))


def best_weighted(rows, weight, columns, rank):
    """Least `‖A (W - Ŵ) B‖²_F` over matrices of a rank, for square A and B: the tail of A W B's singular values."""
    values = np.linalg.svd(rows.numpy() @ weight.numpy() @ columns.numpy(), compute_uv=False)
    return float((values[rank:] ** 2).sum())


def root_of(gram):
    """Symmetric root of a Gram matrix, by its eigenvectors."""
    values, vectors = np.linalg.eigh(gram.numpy())
    return torch.from_numpy(vectors * np.sqrt(np.clip(values, 0, None)) @ vectors.T)


@given(CASES)
def test_full_rank_leaves_a_weight_unchanged(case):
    d_out, d_in, seed = case
    weight = random(d_out, d_in, seed=seed)
    torch.testing.assert_close(truncated_svd(weight, min(d_out, d_in)).product(), weight, rtol=1e-12, atol=1e-12)


@given(CASES, st.integers(1, 12))
def test_truncation_error_is_the_tail_of_the_singular_values(case, rank):
    d_out, d_in, seed = case
    rank = min(rank, d_out, d_in)
    weight = random(d_out, d_in, seed=seed)
    error = (weight - truncated_svd(weight, rank).product()).square().sum()
    tail = singular_values(weight)[rank:].square().sum()
    torch.testing.assert_close(error, tail, rtol=1e-9, atol=1e-12)  # both are sums of squares near rounding


@pytest.mark.parametrize("shape", [(7, 5), (5, 7)])
def test_factors_share_each_singular_value_evenly(shape):
    factors = truncated_svd(random(*shape), 3)
    roots = singular_values(random(*shape))[:3].sqrt()
    torch.testing.assert_close(factors.left.norm(dim=0), roots)
    torch.testing.assert_close(factors.right.norm(dim=1), roots)


@given(CASES, st.integers(1, 12), st.floats(1e-30, 1e30))
def test_constant_importance_is_plain_svd(case, rank, importance):
    d_out, d_in, seed = case
    rank = min(rank, d_out, d_in)
    weight = random(d_out, d_in, seed=seed)
    weighted = row_weighted_svd(weight, torch.full((d_out,), importance), rank).product()
    torch.testing.assert_close(weighted, truncated_svd(weight, rank).product(), rtol=1e-8, atol=1e-8)


@given(CASES, st.integers(1, 12))
def test_row_weighted_error_is_the_least_there_is(case, rank):
    d_out, d_in, seed = case
    rank = min(rank, d_out, d_in)
    weight, importance = random(d_out, d_in, seed=seed), random(d_out, seed=seed + 1).exp() ** 3
    rows = importance.sqrt().diag()
    error = (rows @ (weight - row_weighted_svd(weight, importance, rank).product())).square().sum()
    best = best_weighted(rows, weight, torch.eye(d_in).double(), rank)
    assert float(error) == pytest.approx(best, rel=1e-8, abs=1e-10 * float((rows @ weight).square().sum()))


def test_weighted_factors_meet_at_one_length_too():
    weight, importance, gram = random(6, 9), random(6, seed=1).exp(), torch.diag(random(9, seed=2).exp())
    for factors in (row_weighted_svd(weight, importance, 3), input_weighted_svd(weight, gram, 3)):
        torch.testing.assert_close(factors.left.norm(dim=0), factors.right.norm(dim=1))


@pytest.mark.parametrize("factor", [1e-25, 1e25])
def test_a_common_factor_of_the_importances_changes_nothing(factor):
    weight, importance = random(6, 9), random(6, seed=1).exp()
    expected = row_weighted_svd(weight, importance, 3).product()
    torch.testing.assert_close(row_weighted_svd(weight, importance * factor, 3).product(), expected)


def test_factors_are_the_papers():
    """`diag(1/√I) U Σ` and Vᵀ of the weighted matrix (Hsu et al. 2022, eq. 6), by numpy."""
    weight, importance = random(6, 9), random(6, seed=1).exp()
    scale = importance.sqrt().numpy()
    u, s, vt = np.linalg.svd(scale[:, None] * weight.numpy(), full_matrices=False)
    expected = (u[:, :3] / scale[:, None] * s[:3]) @ vt[:3]
    torch.testing.assert_close(row_weighted_svd(weight, importance, 3).product(), torch.from_numpy(expected))


def test_rows_without_importance_take_no_rank_and_are_fitted_with_the_others():
    weight, importance = random(8, 6), torch.tensor([1.0, 0, 2, 0, 3, 0, 0, 0])
    product = row_weighted_svd(weight, importance, 3).product()
    chosen = importance > 0
    torch.testing.assert_close(product[chosen], weight[chosen], rtol=1e-5, atol=1e-5)  # three rows, rank three
    basis = torch.linalg.qr(weight[chosen].T).Q
    torch.testing.assert_close(product[~chosen], weight[~chosen] @ basis @ basis.T, rtol=1e-5, atol=1e-5)


def test_rank_that_the_important_rows_leave_goes_to_the_others():
    """Three rows count and rank is four: the fourth direction is the best for what the others have beside the three."""
    weight, importance = random(8, 6), torch.tensor([1.0, 0, 2, 0, 3, 0, 0, 0])
    chosen = importance > 0
    basis = torch.linalg.qr(weight[chosen].T).Q
    along = weight[~chosen] @ basis @ basis.T
    left, values, right = torch.linalg.svd(weight[~chosen] - along, full_matrices=False)
    expected = along + values[0] * torch.outer(left[:, 0], right[0])
    product = row_weighted_svd(weight, importance, 4).product()
    torch.testing.assert_close(product[~chosen], expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(product[chosen], weight[chosen], rtol=1e-5, atol=1e-5)


def test_no_importance_at_all_is_plain_svd():
    weight = random(6, 5)
    factors = row_weighted_svd(weight, torch.zeros(6), 2)
    assert torch.equal(factors.left, truncated_svd(weight, 2).left)


@pytest.mark.parametrize(
    "bad", [torch.tensor([1.0, -1]), torch.tensor([1.0, torch.nan]), torch.tensor([1.0, torch.inf])]
)
def test_importances_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match="must be finite and at least 0"):
        row_weighted_svd(random(2, 3), bad, 1)
    with pytest.raises(ValueError, match="2 rows; give one for every row"):
        row_weighted_svd(random(2, 3), torch.ones(3), 1)


@given(st.integers(1, 8), st.integers(2, 8), st.integers(0, 1000), st.integers(1, 8), st.sampled_from([0.0, 0.01, 1.0]))
def test_output_error_is_the_least_there_is(d_out, d_in, seed, rank, damping):
    rank = min(rank, d_out, d_in)
    weight, gram, _ = correlated(d_out, d_in, seed)
    damped = gram + damping * gram.diagonal().mean() * torch.eye(d_in)
    difference = weight - input_weighted_svd(weight, gram, rank, damping=damping).product()
    error = float((difference @ damped * difference).sum())
    whole = float((weight @ damped * weight).sum())
    best = best_weighted(torch.eye(d_out).double(), weight, root_of(damped), rank)
    assert error == pytest.approx(best, rel=1e-7, abs=1e-10 * whole)
    plain = weight - truncated_svd(weight, rank).product()
    assert error <= float((plain @ damped * plain).sum()) * (1 + 1e-9) + 1e-10 * whole


def test_fewer_inputs_than_columns_have_a_best_approximation_too():
    """The Gram matrix is singular: nothing is divided by its root."""
    weight, inputs = random(6, 9), random(4, 9, seed=1)
    product = input_weighted_svd(weight, inputs.T @ inputs, 4).product()
    torch.testing.assert_close(inputs @ product.T, inputs @ weight.T, rtol=1e-6, atol=1e-6)


def test_the_identity_as_gram_matrix_is_plain_svd():
    weight = random(6, 9)
    ours = input_weighted_svd(weight, 7 * torch.eye(9), 4).product()
    torch.testing.assert_close(ours, truncated_svd(weight, 4).product())


def test_an_overflow_of_the_gram_matrix_is_named():
    with pytest.raises(ValueError, match="NaN or infinity; the calibration pass overflowed"):
        input_weighted_svd(random(2, 2), torch.full((2, 2), torch.nan), 1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_factors_are_rounded_once_from_float64(dtype):
    weight = random(8, 6).to(dtype)
    exact = truncated_svd(weight.double(), 3)
    factors = truncated_svd(weight, 3)
    assert torch.equal(factors.left, exact.left.to(dtype)) and torch.equal(factors.right, exact.right.to(dtype))
    importance = random(8, seed=1).exp()
    assert torch.equal(
        row_weighted_svd(weight, importance, 3).left, row_weighted_svd(weight.double(), importance, 3).left.to(dtype)
    )


def test_a_weight_of_zeros_has_factors_of_zeros():
    zeros = torch.zeros(4, 5)
    for factors in (truncated_svd(zeros, 2), row_weighted_svd(zeros, torch.ones(4), 2)):
        assert torch.equal(factors.product(), zeros)
    assert torch.equal(input_weighted_svd(zeros, torch.eye(5), 2).product(), zeros)
