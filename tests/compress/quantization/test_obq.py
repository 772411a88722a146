"""Optimal Brain Quantization against a plain float64 transcription, and its laws."""

import numpy as np
import pytest
import torch

from compress.grid import fake_quantize
from compress.pruning.elimination import MOST_INPUTS, ROWS
from compress.quantization.obq import obq
from tests.layers import correlated, random
from tests.oracles import grid_of


def oracle_obq(weight, gram, bits, damping=0.01):
    """One row and one weight at a time (Frantar & Alistarh 2022, eq. 7 and the rule on outliers)."""
    hessian = gram / np.mean(np.diag(gram)) + damping * np.eye(len(gram))
    rounded = weight.copy()
    for row in rounded:
        scale, zero = grid_of(row, bits)
        inverse, free = np.linalg.inv(hessian), np.ones(len(row), dtype=bool)
        for _ in range(len(row)):
            values = (np.clip(np.round(row / scale) + zero, 0, 2**bits - 1) - zero) * scale
            lost = row - values
            costs = np.where(free, lost**2 / np.where(free, np.diag(inverse), 1), np.inf)
            far = free & (np.abs(lost) > scale * (0.5 + 1e-9))
            q = int(np.argmax(far)) if far.any() else int(np.argmin(costs))
            fixed = row[~free].copy()
            row[:] = row - lost[q] / inverse[q, q] * inverse[q]
            row[~free], row[q] = fixed, values[q]
            inverse = inverse - np.outer(inverse[:, q], inverse[q]) / inverse[q, q]
            free[q] = False
    return rounded


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("rows", [2, ROWS])
def test_obq_is_its_definition(bits, rows):
    weight, gram, _ = correlated(5, 16, seed=bits)
    done = obq(weight, gram, bits=bits, rows=rows)
    np.testing.assert_allclose(done.weight.numpy(), oracle_obq(weight.numpy(), gram.numpy(), bits), atol=1e-8)


def test_on_the_identity_it_is_rounding_to_nearest():
    weight = random(4, 12)
    rounded = obq(weight, torch.eye(12, dtype=torch.float64), bits=3)
    torch.testing.assert_close(rounded.weight, fake_quantize(weight, 3))


def test_every_weight_lies_on_its_rows_grid():
    weight, gram, _ = correlated(6, 20, seed=1, dtype=torch.float32)
    done = obq(weight, gram, bits=3)
    assert done.weight.dtype == torch.float32
    for row, rounded in zip(weight.double().numpy(), done.weight.double().numpy(), strict=True):
        scale, zero = grid_of(row, 3)
        codes = rounded / scale + zero
        np.testing.assert_allclose(codes, np.round(codes), atol=1e-5)  # float32's digits of a code
        assert codes.min() > -0.5 and codes.max() < 7.5


def test_it_leaves_less_error_than_rounding_on_correlated_inputs():
    for seed in range(5):
        weight, gram, _ = correlated(8, 32, seed=seed)
        lost = [after - weight for after in (obq(weight, gram, bits=3).weight, fake_quantize(weight, 3))]
        exact, plain = (float((change @ gram * change).sum()) for change in lost)
        assert exact < plain


def test_dead_inputs_get_zero_and_bad_ones_a_sentence():
    weight, _, inputs = correlated(3, 8, seed=0)
    inputs[:, 2] = 0
    assert (obq(weight, inputs.T @ inputs, bits=4).weight[:, 2] == 0).all()
    with pytest.raises(ValueError, match="NaN or infinity"):
        obq(weight, torch.full((8, 8), torch.nan, dtype=torch.float64), bits=4)
    with pytest.raises(ValueError, match="bits is 9"):
        obq(weight, inputs.T @ inputs, bits=9)
    wide = torch.ones(1, MOST_INPUTS + 1)
    with pytest.raises(ValueError, match=r"1,025 inputs, and exact elimination takes at most 1,024"):
        obq(wide, torch.eye(MOST_INPUTS + 1), bits=4)
