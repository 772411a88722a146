"""The layer that computes with factors, against the dense layer."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compress.factorisation.kronecker.linear import (
    ELEMENT_COST,
    Contraction,
    KroneckerLinear,
    _moved,
    choose,
    kronecker_linear,
    operations,
)
from compress.factorisation.kronecker.sums import FactorShapes, fold_scalars, materialise
from tests.layers import random
from tests.oracles import kron_sum

sides = st.integers(1, 5)
seeds = st.integers(0, 2**31)


@given(sides, sides, sides, sides, st.integers(1, 4), seeds, st.sampled_from(Contraction), st.booleans())
def test_every_order_of_contraction_is_the_dense_layer(m, n, p, q, k, seed, order, biased):
    first, second = random(k, m, n, seed=seed), random(k, p, q, seed=seed + 1)
    inputs, bias = random(2, 3, n * q, seed=seed + 2), random(m * p, seed=seed + 3) if biased else None
    expected = torch.nn.functional.linear(inputs, torch.from_numpy(kron_sum(first, second)), bias)
    outputs = kronecker_linear(inputs, first, second, bias, order=order)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)


@given(sides, sides, sides, sides, st.integers(1, 3), seeds, st.sampled_from(Contraction))
def test_gradients_do_not_depend_on_the_order(m, n, p, q, k, seed, order):
    def gradients(chosen):
        first, second = random(k, m, n, seed=seed).requires_grad_(), random(k, p, q, seed=seed + 1).requires_grad_()
        inputs = random(3, n * q, seed=seed + 2).requires_grad_()
        (kronecker_linear(inputs, first, second, order=chosen) ** 2).sum().backward()
        return first.grad, second.grad, inputs.grad

    for gradient, expected in zip(gradients(order), gradients(Contraction.WHOLE), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-10)


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


def test_layer_says_its_size_and_refuses_odd_factors():
    layer = KroneckerLinear(random(2, 6, 4), random(2, 2, 3), random(12), rows=torch.arange(12))
    assert (layer.in_features, layer.out_features, layer.terms) == (12, 12, 2)
    assert layer.storage.value_bits == 2 * (24 + 6) * 64 and layer.storage.mask_bits == 12 * 4
    torch.testing.assert_close(layer.dense()(torch.eye(12).double()), layer(torch.eye(12).double()))
    with pytest.raises(ValueError, match="terms, rows, columns"):
        KroneckerLinear(random(6, 4), random(2, 2, 3), None)


@pytest.mark.parametrize(("terms", "scalar"), [(1, None), (4, None), (4, 2.0)])
def test_factors_drawn_anew_keep_the_weights_root_mean_square(terms, scalar):
    first, second = random(terms, 40, 30, seed=0).float(), random(terms, 6, 5, seed=1).float()
    scalars = None if scalar is None else torch.full((terms,), scalar)
    layer = KroneckerLinear(0.1 * first, second, None, scalars=scalars)
    before = layer.weight().detach().square().mean().sqrt()
    after = torch.stack([drawn_again(layer, before, seed) for seed in range(30)])
    assert float(after.square().mean().sqrt()) == pytest.approx(float(before), rel=0.1)


def drawn_again(layer, rms, seed):
    """Root mean square after a draw from a layer of that root mean square."""
    with torch.no_grad():
        layer.first.mul_(rms / layer.weight().square().mean().sqrt())
    layer.redraw(torch.Generator().manual_seed(seed))
    return layer.weight().detach().square().mean().sqrt()


def test_factors_drawn_anew_depend_on_the_generator_alone():
    layers = [KroneckerLinear(random(2, 3, 4, seed=0), random(2, 5, 6, seed=1), None) for _ in range(2)]
    for layer in layers:
        layer.redraw(torch.Generator().manual_seed(7))
    assert torch.equal(layers[0].first, layers[1].first)
    layers[0].redraw(torch.Generator().manual_seed(8))
    assert not torch.equal(layers[0].first, layers[1].first)


def counted(shapes, terms, tokens, order):
    """Multiply-adds of a pass and elements that are moved between its products, from the shapes of its matrices."""
    (m, n), (p, q) = shapes.first, shapes.second
    if order is Contraction.FIRST:
        products = [(tokens * q, n, terms * m), (tokens * m, q * terms, p)]
        moved = 2 * tokens * q * terms * m + (tokens * n * q if q > 1 else 0)
    elif order is Contraction.SECOND:
        products = [(tokens * n, q, terms * p), (tokens * p, terms * n, m)]
        moved = 2 * tokens * n * terms * p + (tokens * m * p if p > 1 else 0)
    else:
        products = [(m * n, terms, p * q), (tokens, n * q, m * p)]
        moved = 2 * m * n * p * q
    return 2 * sum(a * b * c for a, b, c in products), moved


@given(sides, sides, sides, sides, st.integers(1, 4), st.integers(1, 100), st.sampled_from(Contraction))
def test_operations_are_those_of_the_products(m, n, p, q, k, tokens, order):
    shapes = FactorShapes((m, n), (p, q))
    products, moved = counted(shapes, k, tokens, order)
    assert operations(shapes, k, tokens, order) == products
    assert _moved(shapes, k, tokens, order) == moved


@given(sides, sides, sides, sides, st.integers(1, 4), st.sampled_from([1, 7, 100, 4096]))
def test_the_order_that_is_chosen_costs_least(m, n, p, q, k, tokens):
    shapes = FactorShapes((8 * m, 8 * n), (p, q))
    costs = {}
    for order in Contraction:
        products, moved = counted(shapes, k, tokens, order)
        costs[order] = products + ELEMENT_COST * moved
    assert costs[choose(shapes, k, tokens)] == min(costs.values())


def test_a_layers_operations_are_those_of_the_order_that_it_takes():
    layer = KroneckerLinear(random(2, 6, 4), random(2, 2, 3), None)
    for tokens in (1, 1000):
        order = choose(layer.shapes, 2, tokens)
        assert layer.operations(tokens) == operations(layer.shapes, 2, tokens, order)


@pytest.mark.parametrize("scalars", [None, 2])
@pytest.mark.parametrize(("rows", "columns"), [(None, None), (12, None), (None, 15), (12, 15)])
def test_storage_counts_factors_scalars_and_the_bits_of_each_order(scalars, rows, columns):
    layer = KroneckerLinear(
        random(2, 6, 5).float(),
        random(2, 2, 3).float(),
        None,
        scalars=None if scalars is None else torch.ones(scalars),
        rows=None if rows is None else torch.randperm(rows, generator=torch.Generator().manual_seed(0)),
        columns=None if columns is None else torch.randperm(columns, generator=torch.Generator().manual_seed(1)),
    )
    values = 2 * (30 + 6) + (scalars or 0)
    assert layer.storage.weights == 12 * 15
    assert layer.storage.value_bits == values * 32
    assert layer.storage.mask_bits == (rows or 0) * 4 + (columns or 0) * 4
    assert layer.storage.held_bits == values * 32 + ((rows or 0) + (columns or 0)) * 64


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("moved", [False, True])
def test_a_layer_with_scalars_orders_and_bias_is_the_dense_one(biased, moved):
    rows, columns = (torch.randperm(n, generator=torch.Generator().manual_seed(n)) for n in (12, 15))
    layer = KroneckerLinear(
        random(2, 6, 5),
        random(2, 2, 3, seed=1),
        random(12, seed=2) if biased else None,
        scalars=random(2, seed=3),
        rows=rows if moved else None,
        columns=columns if moved else None,
    )
    whole = kron_sum(layer.scalars[:, None, None] * layer.first, layer.second)
    weight = torch.from_numpy(whole)
    weight = weight[rows][:, columns] if moved else weight
    torch.testing.assert_close(layer.weight(), weight, rtol=0, atol=1e-12)
    inputs = random(4, 3, 15, seed=4)
    expected = inputs @ weight.T + (layer.bias if biased else 0)
    torch.testing.assert_close(layer(inputs), expected, rtol=0, atol=1e-12)
    dense = layer.dense()
    torch.testing.assert_close(dense(inputs), expected, rtol=0, atol=1e-12)
    assert (dense.bias is None) == (not biased) and layer.sparsity() == 0
    assert ("scalars" in repr(layer)) and "2 x (6, 5) ⊗ (2, 3)" in repr(layer)


def test_the_share_of_zeros_is_that_of_the_whole_weight():
    first = random(1, 4, 4)
    first[:, :1] = 0
    assert KroneckerLinear(first, random(1, 2, 2, seed=1), None).sparsity() == 0.25


@pytest.mark.parametrize(("first", "second"), [((2, 6, 4), (3, 2, 3)), ((2, 6, 4), (2, 3)), ((6, 4), (2, 2, 3))])
def test_factors_of_other_numbers_are_refused(first, second):
    with pytest.raises(ValueError, match="both must be"):
        KroneckerLinear(random(*first), random(*second), None)
