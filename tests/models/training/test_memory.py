"""Bytes of a training step against a count by hand, and the laws that stacks follow."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from models.errors import InputError
from models.memory import on_meta, peak_bytes
from models.t5 import T5Shape, build
from models.text_to_text import TargetLoss
from models.training.memory import stack_size, stacked_step_bytes, step_bytes
from models.training.plan import Training
from models.training.stacks import Stack

FLOAT = 4
D_IN, INNER = 4, 8
SHAPE = T5Shape(2, 2, 32, 16, 4, 4, vocabulary=50)
ROWS = torch.zeros(6, 24 + 5 + 1, dtype=torch.long)
HOW = Training(1, 6, 1e-3)


def perceptron():
    return nn.Sequential(nn.Linear(D_IN, INNER, bias=False), nn.ReLU(), nn.Linear(INNER, 1, bias=False))


def summed(model, inputs):
    return model(inputs).sum()


def t5_bytes(models=1, **changes):
    shape, rows = replace(SHAPE, **changes.pop("shape", {})), changes.pop("rows", ROWS)
    model = build(shape, seed=0)
    return stacked_step_bytes(model, [rows], replace(HOW, **changes), TargetLoss(24), models=models)


@pytest.mark.parametrize("examples", [50, 1000])
def test_a_perceptron_by_hand(examples):
    """The worst moment is the ReLU's backward pass: its result, the gradient of that and of its input live.

    Besides: inputs; weights, two moments and Adam's count of steps for each of two matrices; the second matrix's
    gradient; the loss and the one number that its gradient expands.
    """
    weights = D_IN * INNER + INNER
    expected = examples * (D_IN + 3 * INNER) + 3 * weights + 2 + INNER + 2
    assert step_bytes(perceptron(), torch.zeros(examples, D_IN), summed) == FLOAT * expected


def test_where_nothing_is_saved_weights_gradients_and_moments_are_the_peak():
    """AdamW takes one more copy, the roots of the second moments."""
    model = nn.Linear(300, 200, bias=False)
    counted = step_bytes(model, torch.zeros(1, 300), summed)
    assert 4 * 60_000 * FLOAT < counted < 6.1 * 60_000 * FLOAT


def test_weights_that_are_not_trained_have_no_gradient_and_no_moments():
    model = perceptron()
    whole = step_bytes(model, torch.zeros(2, D_IN), summed)
    model[0].requires_grad_(False)
    assert step_bytes(model, torch.zeros(2, D_IN), summed) < whole


def test_a_stack_takes_as_many_times_what_one_model_takes():
    one = t5_bytes()
    for models in (2, 5):
        assert 0.97 * models * one < t5_bytes(models) <= models * one


@pytest.mark.parametrize(
    "more",
    [
        {"batch": 12},
        {"rows": torch.zeros(6, 24 + 9 + 1, dtype=torch.long)},
        {"shape": {"width": 24}},
        {"shape": {"vocabulary": 100}},
        {"shape": {"encoder_layers": 3}},
    ],
    ids=str,
)
def test_more_of_anything_takes_more(more):
    assert t5_bytes(**more) > t5_bytes()


def test_a_stack_on_meta_counts_what_a_real_one_holds():
    def peak(device):
        models = [build(SHAPE, seed=seed) for seed in range(2)]
        stack = Stack(models if device == "cpu" else [on_meta(each) for each in models], HOW, TargetLoss(24), device)
        batch = torch.zeros(2, *ROWS.shape, dtype=torch.long, device=device)
        return peak_bytes(lambda: stack.gradients((batch,)), stack.weights.values())

    assert peak("meta") == pytest.approx(peak("cpu"), rel=0.02)  # kernels of the CPU keep a few sums more


def test_as_many_models_are_stacked_as_fit():
    one, model = t5_bytes(), build(SHAPE, seed=0)
    for limit, fit in ((one, 1), (2 * one - 1, 1), (3 * one, 3)):
        assert stack_size(model, [ROWS], HOW, TargetLoss(24), limit) == fit


def test_what_does_not_fit_alone_is_refused_with_both_sizes():
    with pytest.raises(InputError, match=r"takes 0\.0 GB and the run plans with .* a larger --gpu-memory or a lower"):
        stack_size(build(SHAPE, seed=0), [ROWS], HOW, TargetLoss(24), 1000)
