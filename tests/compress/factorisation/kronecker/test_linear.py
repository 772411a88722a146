"""The layer that computes with factors, against the dense layer."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compress.factorisation.kronecker.linear import Contraction, KroneckerLinear, kronecker_linear
from compress.factorisation.kronecker.sums import fold_scalars, materialise
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
