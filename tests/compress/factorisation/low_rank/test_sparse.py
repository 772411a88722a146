"""Low rank and sparse parts stay within their budget, and each is the best beside the other."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from compress.factorisation.low_rank.decompose import truncated_svd
from compress.factorisation.low_rank.sparse import (
    LowRankPlusSparse,
    ScaledLowRankPlusSparse,
    budget_of,
    low_rank_and_sparse,
)
from compress.statistics import SquaredInputs
from tests.layers import layer_of, measured, random


def largest(values, count):
    """Places of the largest magnitudes of a vector."""
    return list(np.argsort(np.abs(values))[::-1][:count])


def by_hand(weight, rank, kept, rounds, by_row=False):
    """Alternation in numpy: SVD of what the sparse part leaves, then the largest entries of what that leaves."""
    sparse = np.zeros_like(weight)
    for _ in range(rounds):
        u, s, vt = np.linalg.svd(weight - sparse, full_matrices=False)
        low = (u[:, :rank] * s[:rank]) @ vt[:rank]
        rest = weight - low
        sparse = np.zeros_like(weight)
        flat, columns = rest.ravel(), rest.shape[1]
        places = (
            [i * columns + j for i, row in enumerate(rest) for j in largest(row, kept // len(rest))] if by_row else []
        )
        others = np.where(np.isin(np.arange(flat.size), places), 0, flat)
        for place in [*places, *largest(others, kept - len(places))]:
            sparse.ravel()[place] = flat[place]
    return low, sparse


@given(st.integers(2, 40), st.integers(2, 40), st.sampled_from([16, 32]), st.floats(0.05, 0.95), st.floats(0.01, 0.9))
def test_a_budget_is_never_exceeded_and_missed_by_less_than_one_weight(d_out, d_in, bits, share, low_rank):
    try:
        budget = budget_of(d_out, d_in, bits, share=share, low_rank=low_rank)
    except ValueError:
        assume(False)
    taken = (budget.rank * (d_out + d_in) + budget.kept) * bits + d_out * d_in
    whole = math.floor(share * d_out * d_in * bits)
    assert taken <= whole and (whole - taken < bits or budget.kept == d_out * d_in)


@given(
    st.integers(3, 9), st.integers(3, 9), st.integers(0, 500), st.integers(1, 3), st.integers(1, 9), st.integers(1, 5)
)
def test_parts_are_those_of_the_alternation_by_hand(d_out, d_in, seed, rank, kept, rounds):
    weight = random(d_out, d_in, seed=seed)
    made = low_rank_and_sparse(weight, rank, kept, rounds=rounds)
    low, sparse = by_hand(weight.numpy(), rank, kept, rounds)
    torch.testing.assert_close(made.factors.product(), torch.from_numpy(low), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(made.residual, torch.from_numpy(sparse), rtol=1e-7, atol=1e-7)


@given(st.integers(0, 500))
def test_errors_do_not_rise_and_end_below_either_part_alone(seed):
    weight = random(12, 9, seed=seed)
    errors = low_rank_and_sparse(weight, 3, 20, rounds=6).errors
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in pairwise(errors))
    assert errors[-1] < float((weight - truncated_svd(weight, 3).product()).square().sum())


def test_a_low_rank_weight_with_outliers_is_found_again():
    weight = random(30, 2) @ random(2, 20, seed=1)
    planted = torch.zeros(30, 20, dtype=torch.float64)
    planted[3, 4] = planted[20, 11] = planted[7, 0] = 8.0
    made = low_rank_and_sparse(weight + planted, 2, 3, rounds=30)
    torch.testing.assert_close(made.residual, planted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layers_storage_is_its_budget(dtype):
    layer = layer_of(random(40, 30).float()).to(dtype)
    made = LowRankPlusSparse(0.5, 0.1)(layer)
    bits = torch.finfo(dtype).bits
    assert 0 <= math.floor(0.5 * 1200 * bits) - made.storage.total_bits < bits
    assert made.rank == math.ceil(0.1 * 1200 / 70)


def test_the_residual_makes_up_for_the_rounding_of_the_factors():
    """Where all weights fit into it, what is left is the rounding of the residual itself."""
    weight = random(8, 6).bfloat16()
    made = low_rank_and_sparse(weight, 1, 48, rounds=1)
    product = made.factors.left.double() @ made.factors.right.double()
    assert torch.equal(made.residual, (weight.double() - product).bfloat16())


def test_a_share_that_leaves_nothing_for_the_residual_is_refused():
    with pytest.raises(ValueError, match=r"0\.q: a share of 0\.06 .* give a share above"):
        LowRankPlusSparse(0.06, 0.05)(layer_of(random(40, 30).float()), name="0.q")


@pytest.mark.parametrize(("share", "low_rank"), [(0.5, 0.5), (0.5, 0.0), (1.0, 0.1), (float("nan"), 0.1)])
def test_the_low_rank_share_is_below_the_whole_one(share, low_rank):
    with pytest.raises(ValueError, match="share must be above 0 and below the whole share"):
        LowRankPlusSparse(share, low_rank)
    with pytest.raises(ValueError, match="rounds is 0"):
        LowRankPlusSparse(0.5, rounds=0)


def test_with_inputs_to_scale_the_scaled_weight_is_taken_apart():
    weight, inputs = random(9, 7).float(), (random(50, 7, seed=1) * torch.arange(7)).float()
    layer = layer_of(weight)
    made = ScaledLowRankPlusSparse(0.7, 0.3)(layer, measured(layer, inputs, SquaredInputs))
    scale = inputs.double().square().mean(0).sqrt()
    scale[0] = 1e-6 * scale.max()  # an input that is always zero
    budget = budget_of(9, 7, 32, share=0.7, low_rank=0.3)
    low, sparse = by_hand((weight.double() * scale).numpy(), *budget, 4, by_row=True)
    # Float32 rounds factors and residual once each.
    torch.testing.assert_close(made.weight() * scale, torch.from_numpy(low + sparse), rtol=1e-5, atol=1e-5)
    assert int(made.residual.count_nonzero()) == budget.kept and made.rank == budget.rank


def test_inputs_of_one_size_change_nothing_and_none_are_refused():
    layer, ones = layer_of(random(9, 7).float()), torch.ones(5, 7)
    ours = ScaledLowRankPlusSparse(0.7, 0.3)(layer, measured(layer, ones, SquaredInputs))
    budget = budget_of(9, 7, 32, share=0.7, low_rank=0.3)
    low, sparse = by_hand(layer.weight.detach().double().numpy(), *budget, 4, by_row=True)
    torch.testing.assert_close(ours.weight(), torch.from_numpy(low + sparse).float(), rtol=1e-5, atol=1e-5)
    with pytest.raises(TypeError, match="needs the squared inputs of the layer; calibrate first"):
        ScaledLowRankPlusSparse(0.7, 0.3)(layer)
    with pytest.raises(ValueError, match="calibration overflowed"):
        ScaledLowRankPlusSparse(0.7, 0.3)(layer, measured(layer, ones * torch.inf, SquaredInputs))


def test_a_budget_by_hand():
    """Of 256 bits rank 1 takes 128 and the mask 16; of a share of 175.6 bits 31 are left, one value of 16."""
    assert budget_of(4, 4, 16, share=175.6 / 256, low_rank=0.1) == (1, 1)
    assert budget_of(4, 4, 16, share=176 / 256, low_rank=0.1) == (1, 2)
    with pytest.raises(ValueError, match=r"give a share above 0\.625 or a smaller low_rank"):
        budget_of(4, 4, 16, share=159 / 256, low_rank=0.1)


def test_inputs_that_were_all_zero_count_alike():
    layer = layer_of(random(9, 7).float())
    made = ScaledLowRankPlusSparse(0.7, 0.3)(layer, measured(layer, torch.zeros(5, 7), SquaredInputs))
    again = ScaledLowRankPlusSparse(0.7, 0.3)(layer, measured(layer, torch.ones(5, 7), SquaredInputs))
    torch.testing.assert_close(made.weight(), again.weight())
