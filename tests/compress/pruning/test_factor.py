"""The factor of the inverse Hessian: what it is, in which precision, and what is no Hessian."""

import pytest
import torch

from compress.pruning.factor import inverse_factor


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
