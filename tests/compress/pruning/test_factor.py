"""The factor of the inverse Hessian: what it is, in which precision, and what is no Hessian."""

from dataclasses import FrozenInstanceError

import pytest
import torch

from compress.pruning.factor import (
    MOST_RESIDUAL,
    Hessian,
    damping_note,
    factor_residual,
    inverse_factor,
    inverse_of_upper,
)
from tests.layers import correlated


def test_what_is_no_hessian_is_refused():
    for dtype in (torch.float32, torch.float64):
        with pytest.raises(ValueError, match="not positive definite"):
            inverse_factor(torch.tensor([[1.0, -5.0], [-5.0, 1.0]]), 0.01, dtype)
        with pytest.raises(ValueError, match="not positive definite"):
            inverse_factor(-torch.eye(3), 0.01, dtype)
        with pytest.raises(ValueError, match="NaN"):
            inverse_factor(torch.full((2, 2), torch.nan), 0.01, dtype)
    with pytest.raises(ValueError, match="damping"):
        inverse_factor(torch.eye(2), -1.0)


def test_inputs_that_are_always_zero_are_told_and_raise_no_damping():
    factor, dead, used = inverse_factor(torch.zeros(3, 3, dtype=torch.float64), 0.01)
    assert dead.all() and used == 0.01 and factor.isfinite().all()


def hard(kind, d_in=64):
    """Gram matrix that float32 cannot factor well: of few tokens, copies, one direction, or a decaying spectrum."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(4 * d_in, d_in, generator=generator, dtype=torch.float64)
    if kind == "few tokens":
        inputs = inputs[:5]
    if kind == "copies":
        inputs[:, 1::2] = inputs[:, ::2] + 1e-4 * inputs[:, 1::2]
    if kind == "one direction":
        inputs += 1e3 * torch.randn(1, d_in, generator=generator, dtype=torch.float64)
    if kind == "decay":
        inputs = inputs @ torch.linalg.qr(torch.randn(d_in, d_in, generator=generator, dtype=torch.float64))[0]
        inputs = (
            inputs
            * torch.logspace(0, -4, d_in, dtype=torch.float64)
            @ torch.randn(d_in, d_in, generator=generator).double()
        )
    return inputs.T @ inputs


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_factor_is_of_the_inverse(dtype):
    gram = correlated(1, 40, 0)[1]
    factor = inverse_factor(gram, 0.01, dtype)
    hessian = gram / gram.diagonal().mean() + 0.01 * torch.eye(40, dtype=torch.float64)
    expected = torch.linalg.cholesky(torch.linalg.inv(hessian), upper=True)
    tolerance = MOST_RESIDUAL if dtype == torch.float32 else 1e-10
    assert factor.upper.dtype == dtype
    torch.testing.assert_close(factor.upper.double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", ["few tokens", "copies", "one direction", "decay"])
def test_a_hessian_too_hard_for_float32_is_factored_in_float64(kind):
    gram = hard(kind)
    factor = inverse_factor(gram, 1e-7, torch.float32)
    assert factor.upper.dtype == torch.float64
    torch.testing.assert_close(factor.upper, inverse_factor(gram, 1e-7).upper, rtol=0, atol=0)


@pytest.mark.parametrize("scale", [1e-290, 1e-60, 1.0, 1e60, 1e290])
def test_no_scale_of_the_inputs_takes_the_factor_out_of_float32(scale):
    gram = correlated(1, 40, 0)[1]
    factor = inverse_factor(gram * scale, 0.01, torch.float32)
    assert factor.upper.dtype == torch.float32
    torch.testing.assert_close(factor.upper, inverse_factor(gram, 0.01, torch.float32).upper, rtol=1e-4, atol=1e-5)


def test_inputs_of_any_range_give_an_accurate_factor():
    """From 1e-30 to 1e30: squares that no float32 holds."""
    scales = torch.logspace(-30, 30, 40, dtype=torch.float64)
    gram = correlated(1, 40, 0)[1] * scales * scales[:, None]
    factor = inverse_factor(gram, 0.01, torch.float32)
    exact = inverse_factor(gram, 0.01)
    assert torch.linalg.norm(factor.upper.double() @ torch.linalg.inv(exact.upper) - torch.eye(40)) <= 1e-2


@pytest.mark.parametrize("damping", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("kind", ["few tokens", "copies", "one direction", "decay"])
def test_the_residual_bounds_the_factors_error(kind, damping):
    """Law behind the limit: U = (I + G) U₀ with ‖G‖ at most the norm of the residual, which probes estimate."""
    hessian = Hessian.of(hard(kind))
    upper, _ = hessian.factored(damping, torch.float32)
    exact, _ = hessian.factored(damping, torch.float64)
    size = len(exact)
    found = factor_residual(upper, hessian, damping)
    product = upper.double().T @ upper.double() @ hessian.times(torch.eye(size, dtype=torch.float64), damping)
    residual = torch.linalg.norm(product - torch.eye(size)) / size**0.5
    error = torch.linalg.norm(upper.double() @ torch.linalg.inv(exact) - torch.eye(size)) / size**0.5
    assert not residual < 1 or (error <= residual and found == pytest.approx(float(residual), rel=0.6))


@pytest.mark.parametrize("size", [1, 5, 513, 1030])
def test_an_inverse_by_halves_is_the_inverse(size):
    upper = torch.eye(size, dtype=torch.float64) + correlated(size, size, 0)[0].triu() / size
    torch.testing.assert_close(
        inverse_of_upper(upper) @ upper, torch.eye(size, dtype=torch.float64), rtol=0, atol=1e-10
    )


def test_more_damping_is_taken_in_float64_where_less_is_not_enough():
    factor = inverse_factor(torch.ones(4, 4, dtype=torch.float64), 0.0, torch.float32)
    assert factor.damping > 0 and factor.upper.dtype == torch.float64


@pytest.mark.parametrize(("least", "taken"), [(3e-3, 1e-2), (0.3, 1.0), (5e-8, 1e-7)])
def test_damping_is_raised_tenfold_until_it_is_enough(least, taken):
    """From 1e-8 where none was asked, for a matrix whose lowest eigenvalue is known."""
    gram = torch.diag(torch.ones(4, dtype=torch.float64))
    gram[0, 1] = gram[1, 0] = 1 + least
    assert inverse_factor(gram, 0.0).damping == pytest.approx(taken)
    assert inverse_factor(gram, taken).damping == taken
    assert inverse_factor(gram, 0.2 * least).damping == pytest.approx(2 * least)


def test_damping_stops_at_the_mean_diagonal():
    gram = torch.eye(4, dtype=torch.float64)
    gram[0, 1] = gram[1, 0] = 1.5
    assert inverse_factor(gram, 0.3).damping == 1.0
    assert inverse_factor(gram, 5.0).damping == 5.0, "what is asked is taken, however much"
    gram[0, 1] = gram[1, 0] = 2.5
    with pytest.raises(ValueError, match="even with damping 1;"):
        inverse_factor(gram, 0.3)


def test_dead_inputs_are_those_without_any_square():
    gram = correlated(1, 6, 0)[1]
    gram[2] = gram[:, 2] = 0
    for dtype in (torch.float32, torch.float64):
        factor = inverse_factor(gram, 0.01, dtype)
        assert factor.dead.tolist() == [False, False, True, False, False, False]
        assert factor.upper[2, 2].item() == pytest.approx(1.01**-0.5) and factor.damping == 0.01
    alive = [0, 1, 3, 4, 5]
    mean = gram.diagonal().mean()
    hessian = gram[alive][:, alive] / mean + 0.01 * torch.eye(5, dtype=torch.float64)
    expected = torch.linalg.cholesky(torch.linalg.inv(hessian), upper=True)
    torch.testing.assert_close(inverse_factor(gram, 0.01).upper[alive][:, alive], expected)


def test_a_matrix_of_zeros_has_the_mean_one():
    hessian = Hessian.of(torch.zeros(3, 3))
    assert hessian.mean == 1 and hessian.dead.all() and hessian.added(0.5).tolist() == [1.5] * 3
    with pytest.raises(FrozenInstanceError):
        hessian.mean = 2.0


def test_the_residual_of_a_wrong_factor_is_what_is_wrong_with_it():
    """A factor twice too large leaves 4 - 1 on the diagonal, and nothing else."""
    hessian = Hessian.of(correlated(1, 30, 0)[1])
    upper, failed = hessian.factored(0.01, torch.float64)
    assert not failed and factor_residual(upper, hessian, 0.01) < 1e-10
    assert factor_residual(2 * upper, hessian, 0.01) == pytest.approx(3)
    assert 2**-15 < MOST_RESIDUAL < 2**-13


def test_probes_see_entries_of_either_sign():
    """Off the diagonal a residual of one sign would cancel or add up, were all probes alike."""
    size = 200
    identity = Hessian.of(torch.eye(size, dtype=torch.float64))
    upper = torch.eye(size, dtype=torch.float64)
    upper[:, 1:] += 0.01 * torch.eye(size, dtype=torch.float64)[:, :-1]
    residual = upper.T @ upper - torch.eye(size, dtype=torch.float64)
    exact = float(torch.linalg.norm(residual)) / size**0.5
    assert factor_residual(upper, identity, 0.0) == pytest.approx(exact, rel=0.15)


def test_a_damping_that_was_enough_needs_no_note():
    assert damping_note(0.01, 0.01) == ""
    assert damping_note(0.01, 0.1) == "damping raised from 0.01 to 0.1"
