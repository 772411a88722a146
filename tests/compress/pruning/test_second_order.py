"""Second-order pruning against Hassibi's equations by hand, brute force over all masks, and least-squares refits."""

from dataclasses import FrozenInstanceError
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

from compress.pruning.elimination import MOST_INPUTS, ROWS, Elimination
from compress.pruning.magnitude import ComparisonGroup, MagnitudePruning
from compress.pruning.second_order import (
    OBC,
    Saliency,
    SaliencyPruning,
    compensation,
    obc,
    obd_saliency,
    obs_saliency,
    ranked,
    refitted,
)
from compress.pruning.sparsegpt import sparsegpt
from compress.pruning.wanda import WandaPruning
from compress.selection import smallest
from compress.statistics import GramMatrix, SquaredInputs
from tests.layers import correlated, layer_of, measured, random

SMALL = st.integers(0, 10_000)
"""Seeds."""


def damped(gram, damping=0.01):
    """Hessian as all solvers here damp it, over the mean of its diagonal."""
    hessian = gram / gram.diagonal().mean()
    return hessian + torch.diag((hessian.diagonal() == 0).double() + damping)


def squared_error(change, hessian):
    return ((change @ hessian) * change).sum(1)


def least_squares(row, gone, hessian):
    """Best values of a row's kept weights: normal equations, in numpy."""
    stays = ~gone
    fitted = np.zeros_like(row)
    if stays.any():
        fitted[stays] = np.linalg.solve(hessian[np.ix_(stays, stays)], hessian[stays] @ row)
    return fitted


def oracle_obc(weight, hessian, count):
    """One row and one weight at a time, with the inverse that elimination leaves (Frantar & Alistarh 2022, alg. 1)."""
    kept, masks = weight.copy(), np.zeros(weight.shape, dtype=bool)
    for row, mask in zip(kept, masks, strict=True):
        inverse = np.linalg.inv(hessian)
        for _ in range(count):
            costs = np.where(mask, np.inf, row**2 / np.where(mask, 1, np.diag(inverse)))
            q = int(np.argmin(costs))
            row[:] = row - row[q] / inverse[q, q] * inverse[q]
            inverse = inverse - np.outer(inverse[:, q], inverse[q]) / inverse[q, q]
            mask[q] = True
            row[mask] = 0
    return kept, masks


def test_saliencies_by_hand():
    """H = [[2, 1], [1, 2]] has the inverse [[2, -1], [-1, 2]] / 3."""
    weight, hessian = torch.tensor([[3.0, 1.0]]).double(), torch.tensor([[2.0, 1.0], [1.0, 2.0]]).double()
    inverse = torch.linalg.inv(hessian)
    torch.testing.assert_close(obd_saliency(weight, hessian), torch.tensor([[9.0, 1.0]]).double())
    torch.testing.assert_close(obs_saliency(weight, inverse), torch.tensor([[6.75, 0.75]]).double())
    # Weight 1 goes: -1 / (2/3) times (-1/3, 2/3).
    change = compensation(weight, inverse, 1)
    torch.testing.assert_close(change, torch.tensor([[0.5, -1.0]]).double())
    assert squared_error(change, hessian).item() / 2 == pytest.approx(0.75)  # what the saliency says


@given(seed=SMALL)
def test_surgeon_is_damage_without_correlation_and_nothing_moves(seed):
    weight, hessian = random(5, 7, seed=seed), torch.diag(random(7, seed=seed + 1).square() + 0.1)
    inverse = torch.linalg.inv(hessian)
    torch.testing.assert_close(obs_saliency(weight, inverse), obd_saliency(weight, hessian))
    alone = torch.zeros_like(weight)
    alone[:, 3] = -weight[:, 3]
    torch.testing.assert_close(compensation(weight, inverse, 3), alone)
    done = obc(weight, hessian, sparsity=3 / 7, damping=0.0)
    assert torch.equal(done.mask, ranked(weight, hessian, Saliency.DAMAGE, sparsity=3 / 7))
    torch.testing.assert_close(done.weight, weight.masked_fill(done.mask, 0))


@given(seed=SMALL, sparsity=st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_on_the_identity_all_are_magnitude_per_row(seed, sparsity):
    weight, identity = random(4, 10, seed=seed), torch.eye(10, dtype=torch.float64)
    layer = layer_of(weight.float())
    expected = MagnitudePruning(sparsity, ComparisonGroup.ROW)(layer).weight == 0
    for saliency in Saliency:
        assert torch.equal(ranked(weight, identity, saliency, sparsity=sparsity), expected)
    assert torch.equal(obc(weight, identity, sparsity=sparsity).mask, expected)


def test_damage_ranks_as_wanda_does():
    weight, _, inputs = correlated(6, 20, seed=3, dtype=torch.float32)
    layer = layer_of(weight)
    damage = SaliencyPruning(0.5)(layer, measured(layer, inputs, GramMatrix))
    assert torch.equal(damage.weight, WandaPruning(0.5)(layer, measured(layer, inputs, SquaredInputs)).weight)
    assert damage.sparsity() == 0.5


@pytest.mark.parametrize("rows", [1, 3, ROWS])
@pytest.mark.parametrize("damping", [0.0, 0.01])
def test_obc_is_its_definition_in_chunks_of_any_length(rows, damping):
    weight, gram, _ = correlated(7, 24, seed=5)
    done = obc(weight, gram, sparsity=0.5, damping=damping, rows=rows)
    expected, masks = oracle_obc(weight.numpy(), damped(gram, damping).numpy(), 12)
    np.testing.assert_array_equal(done.mask.numpy(), masks)
    assert (done.weight[done.mask] == 0).all()  # and not what rounding leaves of zero
    np.testing.assert_allclose(done.weight.numpy(), expected, atol=1e-9)  # eps times the condition, about 1e4


@given(seed=SMALL, count=st.integers(1, 5))
def test_what_obc_keeps_are_least_squares_and_its_steps_cost_what_they_add_up_to(seed, count):
    weight, gram, _ = correlated(3, 6, seed=seed)
    hessian = damped(gram)
    done = obc(weight, gram, sparsity=count / 6)
    assert (done.mask.sum(1) == count).all()  # exact, in every row
    for row, kept, gone in zip(weight.numpy(), done.weight.numpy(), done.mask.numpy(), strict=True):
        np.testing.assert_allclose(kept, least_squares(row, gone, hessian.numpy()), atol=1e-9)
    torch.testing.assert_close(refitted(weight, done.mask, hessian), done.weight, rtol=0, atol=1e-9)
    state = Elimination(weight, torch.linalg.inv(hessian), count)
    for _ in range(count):
        costs = (state.weight.square() / state.diagonal).masked_fill(~state.free, torch.inf)
        state.take(costs.argmin(1, keepdim=True), torch.zeros(3, 1, dtype=torch.float64))
    torch.testing.assert_close(state.error, squared_error(done.weight - weight, hessian))


@given(seed=SMALL, count=st.integers(1, 5))
@example(seed=0, count=1)
def test_no_mask_beats_the_best_of_all_and_one_weight_is_always_the_best(seed, count):
    """Brute force over all masks of a row of six: greedy is exact for one weight, and never better than the best."""
    weight, gram, _ = correlated(1, 6, seed=seed)
    hessian = damped(gram)
    row = weight[0].numpy()
    errors = {}
    for members in combinations(range(6), count):
        gone = np.isin(np.arange(6), members)
        change = least_squares(row, gone, hessian.numpy()) - row
        errors[members] = change @ hessian.numpy() @ change
    done = obc(weight, gram, sparsity=count / 6)
    own = float(squared_error(done.weight - weight, hessian))
    best = min(errors.values())
    assert own >= best * (1 - 1e-6) - 1e-12
    assert own == pytest.approx(errors[tuple(done.mask[0].nonzero()[:, 0].tolist())], rel=1e-6, abs=1e-12)
    if count == 1:
        assert own == pytest.approx(best, rel=1e-6, abs=1e-12)


def test_obc_leaves_less_error_than_sparsegpt_and_that_less_than_magnitude():
    """On inputs that depend on each other, over eight weights of 16 rows each."""
    exact, approximate, plain = [], [], []
    for seed in range(8):
        weight, gram, _ = correlated(16, 40, seed=seed)
        errors = [
            float(squared_error(after - weight, gram).sum())
            for after in (
                obc(weight, gram, sparsity=0.5).weight,
                sparsegpt(weight, gram, sparsity=0.5).weight,
                weight.masked_fill(smallest(weight.abs(), 20), 0),
            )
        ]
        for known, error in zip((exact, approximate, plain), errors, strict=True):
            known.append(error)
    assert all(a < b for a, b in zip(exact, approximate, strict=True))
    assert sum(approximate) < sum(plain)  # not of every weight: SparseGPT takes its columns as they come


@pytest.mark.parametrize("dead", [1, 8, 11])
def test_weights_of_dead_inputs_are_zero_and_go_first(dead):
    weight, _, inputs = correlated(5, 12, seed=1)
    inputs[:, :dead] = 0
    done = obc(weight, inputs.T @ inputs, sparsity=0.5)
    assert (done.weight[:, :dead] == 0).all() and (done.mask.sum(1) == 6).all()
    assert done.mask[:, : min(dead, 6)].all() and done.weight.isfinite().all()
    surgeon = ranked(weight, inputs.T @ inputs, Saliency.SURGEON, sparsity=0.5)
    assert surgeon[:, : min(dead, 6)].all()


def test_inputs_that_are_all_zero_leave_nothing_and_raise_nothing():
    gram = torch.zeros(8, 8, dtype=torch.float64)
    done = obc(random(3, 8), gram, sparsity=0.5)
    assert (done.weight == 0).all() and (done.mask.sum(1) == 4).all()
    assert (ranked(random(3, 8), gram, Saliency.DAMAGE, sparsity=0.5).sum(1) == 4).all()


def test_too_few_tokens_raise_the_damping_and_say_so():
    layer = nn.Linear(16, 4)
    few = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    made = OBC(0.5, damping=0.0)(layer, measured(layer, few, GramMatrix))
    assert "damping raised" in made.note and made.weight.isfinite().all() and made.sparsity() == 0.5


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_not_finite_is_refused(value):
    weight, gram, _ = correlated(3, 8, seed=0)
    broken = weight.clone()
    broken[1, 2] = value
    spoilt = gram.clone()
    spoilt[4, 4] = value
    for prune in (
        lambda w, g: obc(w, g, sparsity=0.5),
        lambda w, g: ranked(w, g, Saliency.DAMAGE, sparsity=0.5),
        lambda w, g: ranked(w, g, Saliency.SURGEON, sparsity=0.5),
    ):
        with pytest.raises(ValueError, match="a weight is NaN or infinite; repair"):
            prune(broken, gram)
        with pytest.raises(ValueError, match="holds NaN or infinity; the calibration pass overflowed"):
            prune(weight, spoilt)


@pytest.mark.parametrize("power", [-200, -20, 20, 200])
def test_no_scale_of_weights_or_inputs_changes_what_goes(power):
    weight, gram, _ = correlated(4, 12, seed=2)
    expected = obc(weight, gram, sparsity=0.5)
    done = obc(weight * 2.0**power, gram * 2.0 ** (power // 2), sparsity=0.5)
    assert torch.equal(done.mask, expected.mask)
    torch.testing.assert_close(done.weight, expected.weight * 2.0**power, rtol=1e-9, atol=0)
    for saliency in Saliency:
        scaled = ranked(weight * 2.0**power, gram * 2.0 ** (power // 2), saliency, sparsity=0.5)
        assert torch.equal(scaled, ranked(weight, gram, saliency, sparsity=0.5))


def test_wide_layers_are_refused_in_one_sentence():
    wide = nn.Linear(MOST_INPUTS + 1, 2)
    statistic = measured(wide, torch.randn(14, MOST_INPUTS + 1), GramMatrix)
    with pytest.raises(ValueError, match=r"5\.up: 1,025 inputs, and exact elimination takes at most 1,024.*SparseGPT"):
        OBC(0.5)(wide, statistic, name="5.up")


@pytest.mark.parametrize("method", [OBC(0.5), SaliencyPruning(0.5), SaliencyPruning(0.5, Saliency.SURGEON)], ids=str)
def test_methods_need_a_gram_matrix_keep_dtype_and_are_values(method):
    layer = nn.Linear(12, 4).to(torch.bfloat16)
    inputs = torch.randn(40, 12, generator=torch.Generator().manual_seed(0))
    made = method(layer, measured(layer, inputs, GramMatrix))
    assert made.weight.dtype == torch.bfloat16 and made.sparsity() == 0.5
    assert made.storage.total_bits == 24 * 16 + 48
    with pytest.raises(TypeError, match="needs the Gram matrix"):
        method(layer, None)
    with pytest.raises(ValueError, match="sparsity is 1; it must be"):
        type(method)(1)
    with pytest.raises(FrozenInstanceError):
        method.sparsity = 0.1


def test_elimination_refuses_a_matrix_that_is_no_inverse_of_a_hessian():
    state = Elimination(random(2, 3), -torch.eye(3, dtype=torch.float64), 1)
    with pytest.raises(ValueError, match="too close to singular for exact elimination; raise the damping"):
        state.take(torch.zeros(2, 1, dtype=torch.int64), torch.zeros(2, 1, dtype=torch.float64))
    with pytest.raises(ValueError, match="the kept inputs is not positive definite"):
        refitted(random(1, 3), torch.tensor([[True, False, False]]), -torch.eye(3))
