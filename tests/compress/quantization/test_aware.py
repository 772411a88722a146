"""Laws of quantization-aware training with learned steps."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from torch import nn

from compress.quantization.aware import (
    LearnedRounding,
    ends,
    first_steps,
    learned_steps,
    make_aware,
    rounded,
)
from compress.swap import compressed
from models.training.train import Training, train

BITS = [2, 3, 4, 8]


def lsq(values, step, gradient, bits, members):
    """Rounded values and both gradients, one value at a time in float64 (Esser et al. 2020, eq. 1 to 3)."""
    lowest, highest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    out, by_value, by_step = np.zeros_like(values), np.zeros_like(values), 0.0
    for i, value in enumerate(values):
        ratio = value / step
        code = min(max(np.round(ratio), lowest), highest)
        out[i] = code * step
        if lowest < ratio < highest:
            by_value[i] = gradient[i]
            by_step += gradient[i] * (code - ratio)
        else:
            by_step += gradient[i] * code
    return out, by_value, by_step / math.sqrt(members * highest)


finite = st.floats(-8, 8, width=32)
rows = npst.arrays(np.float64, st.integers(1, 6), elements=finite)


@given(values=rows, step=st.sampled_from([0.25, 1.0, 1.7]), bits=st.sampled_from(BITS))
@example(values=np.array([0.5, 1.5, -2.5, 7.0, -8.0, 7.5, -7.9]), step=1.0, bits=4)  # ties, both ends, and beyond
@example(values=np.zeros(3), step=1.0, bits=2)
def test_values_and_gradients_are_those_of_the_paper(values, step, bits):
    weight = torch.tensor(values[None], requires_grad=True)
    steps = torch.tensor([[step]], dtype=torch.float64, requires_grad=True)
    gradient = np.linspace(-1, 2, len(values))
    out = rounded(weight, steps, bits, len(values))
    out.backward(torch.tensor(gradient[None]))
    expected = lsq(values, step, gradient, bits, len(values))
    for ours, theirs in zip((out[0], weight.grad[0], steps.grad[0, 0]), expected, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bits", BITS)
def test_the_step_s_gradient_is_the_derivative_of_the_rounded_value(bits):
    """Where no value changes its code, `round(v / s) * s` has the derivative `round(v / s)`; LSQ's has `- v / s` more.

    That part is the straight-through term: the derivative of `s * (v / s)` held at the code, which finite differences
    of `s * (code + v / s - v / s at s)` see.
    """
    values, at = torch.tensor([[0.3, -0.8, 1.2, 50.0, -900.0]], dtype=torch.float64), 0.7
    (lowest, highest), ratio = ends(bits), values / at
    codes = ratio.round().clamp(lowest, highest)
    inside = (ratio > lowest) & (ratio < highest)

    def surrogate(step):
        through = torch.where(inside, values / step - ratio, torch.zeros_like(ratio))
        return ((codes + through) * step).sum()

    steps = torch.tensor([[at]], dtype=torch.float64, requires_grad=True)
    rounded(values, steps, bits, 1).sum().backward()
    difference = (surrogate(at + 1e-6) - surrogate(at - 1e-6)) / 2e-6
    torch.testing.assert_close(steps.grad.sum() * math.sqrt(highest), difference, rtol=1e-7, atol=1e-7)


@given(values=rows)
def test_nothing_reaches_values_outside_the_grid(values):
    weight = torch.tensor(values[None], requires_grad=True)
    rounded(weight, torch.full((1, 1), 0.5, dtype=torch.float64), 3, 4).sum().backward()
    torch.testing.assert_close(weight.grad, ((weight > -4 * 0.5) & (weight < 3 * 0.5)).double(), rtol=0, atol=0)


def test_first_steps_by_hand():
    values = torch.tensor([[1.0, -3.0], [0.0, 0.0]])
    torch.testing.assert_close(first_steps(values, 4), torch.full((2, 1), 3 / 7))  # the largest value in reach
    torch.testing.assert_close(first_steps(values, 2), torch.full((2, 1), 3.0))
    flat = torch.tensor([[1.0, 1.0, 1.0, 1.0, 9.0, -1.0, 1.0, 1.0]])
    torch.testing.assert_close(first_steps(flat, 2), torch.full((1, 1), 4.0))  # twice the mean
    torch.testing.assert_close(first_steps(torch.zeros(1, 2), 4), torch.ones(1, 1))


@given(values=rows, bits=st.sampled_from(BITS))
def test_first_steps_leave_the_end_of_the_grid_to_be_used(values, bits):
    weight = torch.tensor(values[None])
    largest = weight.abs().max()
    assert largest == 0 or largest / first_steps(weight, bits) >= ends(bits)[1] * (1 - 1e-12)  # divided twice


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_step_fits_what_is_not_finite(value):
    with pytest.raises(ValueError, match="NaN or infinite"):
        first_steps(torch.tensor([[1.0, value]]), 4)


def layer(d_out=6, d_in=10, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(d_in, d_out)


def test_sixteen_bits_change_next_to_nothing():
    dense, inputs = layer(), torch.randn(5, 10, generator=torch.Generator().manual_seed(1))
    aware = copy.deepcopy(dense)
    make_aware([aware], 16, activation_bits=16)
    # Half a step of 2 mean / sqrt(32767) on each factor of ten products of numbers near one.
    torch.testing.assert_close(aware(inputs), dense(inputs), rtol=0, atol=0.05)
    weight_only = copy.deepcopy(dense)
    make_aware([weight_only], 16)
    half = first_steps(dense.weight.detach(), 16) / 2
    assert ((weight_only.weight - dense.weight).abs() <= half * (1 + 1e-5)).all()


def trained_layer(bits, activation_bits=None):
    """A small model after some steps of training with rounding."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Sequential(layer(8, 8, 1), nn.GELU(), layer(8, 8, 2))])

        def forward(self, rows):
            return self.layers[0](rows)

    model = Model()
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    make_aware(linear, bits, activation_bits=activation_bits)
    rows = torch.randn(16, 8, generator=torch.Generator().manual_seed(2))
    train(model, rows, Training(20, 4, 1e-2), loss=lambda m, x: (m(x) - x.roll(1, 1)).square().mean(), watch=_silent)
    return model, rows


def _silent(_tokens, _loss):
    pass


@pytest.mark.parametrize("activation_bits", [None, 8])
@pytest.mark.parametrize("bits", BITS)
def test_exported_layers_lie_on_their_grids_and_say_the_same(bits, activation_bits):
    model, rows = trained_layer(bits, activation_bits)
    with torch.no_grad():
        before = model(rows)
        with compressed(LearnedRounding(bits), list(model.layers)) as outcome:
            torch.testing.assert_close(model(rows), before, rtol=0, atol=0)
            for plain in (model.layers[0][0], model.layers[0][2]):
                codes = plain.weight / plain.grid.scales + plain.grid.zero_points
                torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-4)  # w / s rounds once more
                assert codes.min() >= -1e-4 and codes.max() <= 2**bits - 1 + 1e-4
            assert outcome.storage.value_bits == 2 * 64 * bits and outcome.storage.scale_bits == 2 * 8 * 32


def test_training_moves_weights_and_steps_alike():
    model, _ = trained_layer(3, 8)
    fresh = layer(8, 8, 1)
    own = model.layers[0][0]
    assert not torch.equal(own.parametrizations.weight.original, fresh.weight)
    assert not torch.equal(learned_steps(own).steps, first_steps(fresh.weight.detach(), 3)[:, 0])
    assert own.learned_inputs.begun and own.learned_inputs.steps.item() != 1.0


def test_steps_are_exempt_from_decay():
    aware = layer()
    make_aware([aware], 4)
    assert learned_steps(aware).steps.ndim == 1  # `models.training.train` lets matrices alone decay


@pytest.mark.parametrize("bits", [1, 17, 4.5])
def test_other_widths_are_refused(bits):
    with pytest.raises(ValueError, match="takes 2 to 16"):
        make_aware([layer()], bits)


def test_a_layer_is_made_aware_once_and_exported_at_its_own_bits():
    aware = layer()
    make_aware([aware], 4)
    with pytest.raises(ValueError, match="already stands for"):
        make_aware([aware], 4)
    with pytest.raises(ValueError, match="those of 4 bits"):
        LearnedRounding(3)(aware, name="mlp")
    with pytest.raises(ValueError, match="it has none"):
        LearnedRounding(3)(layer(), name="mlp")
