"""The algebra of Kronecker sums, against definitions in float64."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from compress.factorisation.kronecker.embedding import KroneckerEmbedding
from compress.factorisation.kronecker.fit import fit_to_inputs, gram_error, permuted_van_loan
from compress.factorisation.kronecker.linear import Contraction, KroneckerLinear, kronecker_linear
from compress.factorisation.kronecker.sums import (
    FactorShapes,
    fold_scalars,
    materialise,
    pruned_factors,
    rearranged,
    singular_values,
    van_loan,
)

sides = st.integers(1, 5)
seeds = st.integers(0, 2**31)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def kron_sum(first, second):
    """From the definition, with numpy's product."""
    return sum(np.kron(a.detach().numpy(), b.detach().numpy()) for a, b in zip(first, second, strict=True))


@given(sides, sides, sides, sides, st.integers(1, 4), seeds)
def test_materialised_sum_is_the_definition(m, n, p, q, k, seed):
    first, second = random(k, m, n, seed=seed), random(k, p, q, seed=seed + 1)
    np.testing.assert_allclose(materialise(first, second).numpy(), kron_sum(first, second), rtol=0, atol=1e-13)


@given(sides, sides, sides, sides, st.integers(1, 4), seeds, st.sampled_from(Contraction), st.booleans())
def test_every_order_of_contraction_is_the_dense_layer(m, n, p, q, k, seed, order, biased):
    first, second = random(k, m, n, seed=seed), random(k, p, q, seed=seed + 1)
    inputs, bias = random(2, 3, n * q, seed=seed + 2), random(m * p, seed=seed + 3) if biased else None
    expected = torch.nn.functional.linear(inputs, torch.from_numpy(kron_sum(first, second)), bias)
    found = kronecker_linear(inputs, first, second, bias, order=order)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@given(sides, sides, sides, sides, st.integers(1, 3), seeds, st.sampled_from(Contraction))
def test_gradients_do_not_depend_on_the_order(m, n, p, q, k, seed, order):
    def gradients(chosen):
        first, second = random(k, m, n, seed=seed).requires_grad_(), random(k, p, q, seed=seed + 1).requires_grad_()
        inputs = random(3, n * q, seed=seed + 2).requires_grad_()
        (kronecker_linear(inputs, first, second, order=chosen) ** 2).sum().backward()
        return first.grad, second.grad, inputs.grad

    for found, expected in zip(gradients(order), gradients(Contraction.WHOLE), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


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


@given(sides, sides, sides, sides, st.integers(1, 4), seeds)
def test_folding_scalars_changes_nothing(m, n, p, q, k, seed):
    first, second, scalars = random(k, m, n, seed=seed), random(k, p, q, seed=seed + 1), random(k, seed=seed + 2)
    expected = sum(
        s * torch.from_numpy(np.kron(a, b)) for s, a, b in zip(scalars, first.numpy(), second.numpy(), strict=True)
    )
    torch.testing.assert_close(materialise(first, second, scalars), expected, rtol=0, atol=1e-12)
    layer = KroneckerLinear(first, second, None, scalars=scalars.clone())
    inputs = random(4, n * q, seed=seed + 3)
    before = layer(inputs)
    layer.fold()
    assert layer.scalars is None
    torch.testing.assert_close(layer(inputs), before, rtol=0, atol=1e-12)
    torch.testing.assert_close(materialise(fold_scalars(first, scalars), second), expected, rtol=0, atol=1e-12)


@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from([(2, 1), (1, 2), (2, 2), (1, 1), (3, 2)]), seeds)
def test_pruned_factors_zero_all_other_rows_and_columns(m, n, second, seed):
    p, q = second
    weight = random(m * p, n * q, seed=seed)
    kept = torch.zeros_like(weight)
    kept[::p, ::q] = weight[::p, ::q]
    assert torch.equal(materialise(*pruned_factors(weight, second)), kept)


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
    found = permuted_van_loan(weight, (m, n), 1, columns=columns)
    assert all(later <= earlier for earlier, later in itertools.pairwise(found.errors))
    assert found.errors[-1] == pytest.approx((weight - found.weight()).square().sum().item(), rel=1e-9)
    assert sorted(found.rows.tolist()) == list(range(m * p))
    assert sorted(found.columns.tolist()) == list(range(n * q))
    layer = KroneckerLinear(found.first, found.second, None, rows=found.rows, columns=found.columns)
    inputs = random(3, n * q, seed=seed + 1)
    torch.testing.assert_close(layer(inputs), inputs @ found.weight().T, rtol=0, atol=1e-12)


def test_permutation_search_finds_a_shuffled_product():
    """Rows of a Kronecker product in another order: a plain decomposition misses, the search does not."""
    weight = materialise(random(1, 6, 4, seed=1), random(1, 2, 3, seed=2))
    shuffled = weight[torch.randperm(12, generator=torch.Generator().manual_seed(3))]
    found = permuted_van_loan(shuffled, (6, 4), rounds=50, columns=False)
    assert found.errors[-1] < 0.7 * found.errors[0]


@pytest.mark.parametrize(("weight", "first"), [((12, 10), (5, 5)), ((12, 10), (4, 3)), ((12, 10), (0, 5))])
def test_shapes_that_do_not_divide_are_named(weight, first):
    with pytest.raises(ValueError, match=f"{first[0]} x {first[1]}.*{weight[0]} x {weight[1]}"):
        van_loan(random(*weight), first)


@pytest.mark.parametrize("terms", [0, 7])
def test_terms_out_of_range_are_named(terms):
    with pytest.raises(ValueError, match=f"{terms} Kronecker terms.*1 to 6"):
        van_loan(random(12, 10), (4, 5), terms)


def test_embedding_looks_rows_up():
    first, second = random(2, 5, 4, seed=1), random(2, 3, 2, seed=2)
    tokens = torch.tensor([[0, 14, 7], [3, 2, 1]])
    found = KroneckerEmbedding(first, second)(tokens)
    torch.testing.assert_close(found, materialise(first, second)[tokens], rtol=0, atol=1e-13)


def test_layer_says_its_size_and_refuses_odd_factors():
    layer = KroneckerLinear(random(2, 6, 4), random(2, 2, 3), random(12), rows=torch.arange(12))
    assert (layer.in_features, layer.out_features, layer.terms) == (12, 12, 2)
    assert layer.storage.value_bits == 2 * (24 + 6) * 64 and layer.storage.mask_bits == 12 * 4
    torch.testing.assert_close(layer.dense()(torch.eye(12).double()), layer(torch.eye(12).double()))
    with pytest.raises(ValueError, match="terms, rows, columns"):
        KroneckerLinear(random(6, 4), random(2, 2, 3), None)
