"""The algebra of Kronecker sums, against definitions in float64."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compress.factorisation.kronecker.sums import (
    FactorShapes,
    materialise,
    pruned_factors,
    rearranged,
    singular_values,
    van_loan,
)
from tests.layers import random
from tests.oracles import kron_sum

sides = st.integers(1, 5)
seeds = st.integers(0, 2**31)


@given(sides, sides, sides, sides, st.integers(1, 4), seeds)
def test_materialised_sum_is_the_definition(m, n, p, q, k, seed):
    first, second = random(k, m, n, seed=seed), random(k, p, q, seed=seed + 1)
    np.testing.assert_allclose(materialise(first, second).numpy(), kron_sum(first, second), rtol=0, atol=1e-13)


@given(sides, sides, sides, sides, seeds)
def test_rank_is_multiplicative(m, n, p, q, seed):
    """Krony-PT §3.3, also for factors short of full rank."""
    first, second = random(1, m, n, seed=seed), random(1, p, q, seed=seed + 1)
    first[:, -1] = first[:, 0]
    rank = np.linalg.matrix_rank
    a, b = first[0].numpy(), second[0].numpy()
    assert rank(materialise(first, second).numpy()) == rank(a) * rank(b)
    shapes = FactorShapes((m, n), (p, q))
    full = materialise(random(1, m, n, seed=seed + 2), random(1, p, q, seed=seed + 3))
    assert rank(full.numpy()) == shapes.most_rank()


@given(sides, sides, sides, sides, seeds)
def test_exact_recovery_of_a_product(m, n, p, q, seed):
    weight = materialise(random(1, m, n, seed=seed), random(1, p, q, seed=seed + 1))
    torch.testing.assert_close(materialise(*van_loan(weight, (m, n))), weight, rtol=0, atol=1e-12)


@given(sides, sides, sides, sides, seeds, st.data())
def test_error_is_the_tail_of_the_singular_values(m, n, p, q, seed, data):
    """Krony-PT §3.5: nothing with k terms is nearer. Against numpy's SVD of the rearranged matrix."""
    weight = random(m * p, n * q, seed=seed)
    shapes = FactorShapes((m, n), (p, q))
    k = data.draw(st.integers(1, shapes.most_terms))
    values = np.linalg.svd(rearranged(weight, shapes).numpy(), compute_uv=False)
    error = (weight - materialise(*van_loan(weight, (m, n), k))).square().sum().item()
    assert error == pytest.approx((values[k:] ** 2).sum(), rel=1e-9, abs=1e-20 * m * n * p * q)
    np.testing.assert_allclose(singular_values(weight, (m, n)).numpy(), values, rtol=0, atol=1e-6 * values[0])


def test_all_terms_are_exact_and_batches_are_one_at_a_time():
    weights = random(3, 12, 10, seed=5)
    first, second = van_loan(weights, (4, 5), 6)
    torch.testing.assert_close(materialise(first, second), weights, rtol=0, atol=1e-12)
    for i in range(3):
        alone = van_loan(weights[i], (4, 5), 6)
        torch.testing.assert_close(materialise(*alone), materialise(first[i], second[i]), rtol=0, atol=1e-12)


def test_zero_weight_and_signs_and_dtype():
    first, second = van_loan(torch.zeros(6, 4, dtype=torch.bfloat16), (3, 2), 2)
    assert first.dtype == second.dtype == torch.bfloat16
    assert not first.any() and not second.any()
    a, b = van_loan(random(12, 12, seed=1), (4, 4), 3)
    same = van_loan(random(12, 12, seed=1), (4, 4), 3)
    assert torch.equal(a, same[0]) and torch.equal(b, same[1])
    assert all(factor.flatten()[factor.abs().argmax()] > 0 for factor in b)


@given(sides, sides, sides, sides, seeds)
def test_mixed_product(m, n, p, q, seed):
    """(A ⊗ B)(C ⊗ D) = AC ⊗ BD."""
    a, b, c, d = (random(1, *shape, seed=seed + i) for i, shape in enumerate([(m, n), (p, q), (n, 3), (q, 2)]))
    torch.testing.assert_close(materialise(a, b) @ materialise(c, d), materialise(a @ c, b @ d), rtol=0, atol=1e-11)


@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from([(2, 1), (1, 2), (2, 2), (1, 1), (3, 2)]), seeds)
def test_pruned_factors_zero_all_other_rows_and_columns(m, n, second, seed):
    p, q = second
    weight = random(m * p, n * q, seed=seed)
    kept = torch.zeros_like(weight)
    kept[::p, ::q] = weight[::p, ::q]
    assert torch.equal(materialise(*pruned_factors(weight, second)), kept)


@pytest.mark.parametrize(("weight", "first"), [((12, 10), (5, 5)), ((12, 10), (4, 3)), ((12, 10), (0, 5))])
def test_shapes_that_do_not_divide_are_named(weight, first):
    with pytest.raises(ValueError, match=f"{first[0]} x {first[1]}.*{weight[0]} x {weight[1]}"):
        van_loan(random(*weight), first)


@pytest.mark.parametrize("terms", [0, 7])
def test_terms_out_of_range_are_named(terms):
    with pytest.raises(ValueError, match=f"{terms} Kronecker terms.*1 to 6"):
        van_loan(random(12, 10), (4, 5), terms)


@given(sides, sides, sides, sides, st.integers(1, 9))
def test_the_rank_of_a_sum_is_capped_by_the_weights_sides(m, n, p, q, terms):
    """Random terms have all the rank that there can be."""
    shapes = FactorShapes((m, n), (p, q))
    whole = materialise(random(terms, m, n, seed=terms), random(terms, p, q, seed=terms + 1))
    assert np.linalg.matrix_rank(whole.numpy()) == shapes.most_rank(terms)
    assert shapes.most_rank(terms) == min(terms * min(m, n) * min(p, q), m * p, n * q)


@given(sides, sides, sides, sides)
def test_shapes_are_counted(m, n, p, q):
    shapes = FactorShapes.cut((m * p, n * q), (m, n))
    assert (shapes, shapes.weight) == (FactorShapes((m, n), (p, q)), (m * p, n * q))
    assert (shapes.parameters, shapes.most_terms) == (m * n + p * q, min(m * n, p * q))
    for terms in (1, shapes.most_terms):
        shapes.check_terms(terms)
    for terms in (0, -1, shapes.most_terms + 1):
        with pytest.raises(ValueError, match=f"{terms} Kronecker terms"):
            shapes.check_terms(terms)


@given(sides, sides, sides, sides, seeds)
def test_the_largest_entry_of_every_second_factor_is_positive(m, n, p, q, seed):
    """Whichever of the factors is the smaller, and each singular value's root in both."""
    weight = random(m * p, n * q, seed=seed)
    terms = min(m * n, p * q)
    first, second = van_loan(weight, (m, n), terms)
    largest = second.flatten(1).gather(1, second.flatten(1).abs().argmax(1, keepdim=True))
    assert (largest > 0).all()
    norms = [torch.linalg.vector_norm(factor, dim=(1, 2)) for factor in (first, second)]
    torch.testing.assert_close(norms[0], norms[1], rtol=1e-6, atol=1e-9)
    values = singular_values(weight, (m, n))
    torch.testing.assert_close(norms[0] * norms[1], values, rtol=1e-5, atol=1e-6 * values[0].item())


def test_pruned_factors_must_divide():
    for weight, second in ((random(30, 10), (4, 1)), (random(10, 30), (1, 4))):
        with pytest.raises(ValueError, match=r"7 (rows|columns) must divide 30"):
            pruned_factors(weight, second)
    with pytest.raises(FrozenInstanceError):
        FactorShapes((1, 1), (1, 1)).first = (2, 2)
