"""Distillation losses are their definitions, and no gradient reaches the teacher."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from compress.distillation.losses import (
    HiddenStateLoss,
    hidden_direction_loss,
    mixed_loss,
    reverse_kl,
    soft_cross_entropy,
    soft_target_loss,
    triple_loss,
)


@given(st.integers(0, 1000), st.floats(0.2, 8))
def test_soft_targets_are_their_definition(seed, temperature):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (3 * torch.randn(2, 3, 7, generator=generator) for _ in range(2))
    p, q = (np.exp(x.double().numpy() / temperature) for x in (teacher, student))
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    expected = temperature**2 * (p * np.log(p / q)).sum(-1).mean()
    assert soft_target_loss(student, teacher, temperature).item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@given(st.integers(0, 1000), st.floats(0.3, 6))
def test_divergences_are_their_definitions(seed, temperature):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (2 * torch.randn(4, 6, generator=generator) for _ in range(2))
    p, q = (np.exp(x.double().numpy() / temperature) for x in (teacher, student))
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    squared = temperature**2
    close = {"rel": 2e-4, "abs": 1e-5}
    assert reverse_kl(student, teacher, temperature).item() == pytest.approx(
        squared * (q * np.log(q / p)).sum(-1).mean(), **close
    )
    cross = soft_cross_entropy(student, teacher, temperature).item()
    assert cross == pytest.approx(-squared * (p * np.log(q)).sum(-1).mean(), **close)
    entropy = -squared * (p * np.log(p)).sum(-1).mean()
    assert cross - entropy == pytest.approx(soft_target_loss(student, teacher, temperature).item(), **close)


def test_alpha_weighs_the_labels_and_must_be_a_share():
    hard, soft = torch.tensor(2.0), torch.tensor(8.0)
    assert mixed_loss(hard, soft, 0.25).item() == 6.5
    for alpha in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            mixed_loss(hard, soft, alpha)


def test_losses_count_only_what_counts():
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 3, 4, 7, generator=generator).unbind(0)
    counted = torch.zeros(3, 4)
    counted[:, :2] = 1
    for loss in (soft_target_loss, reverse_kl):
        expected = loss(student[:, :2], teacher[:, :2], 2.0)
        torch.testing.assert_close(loss(student, teacher, 2.0, counted), expected)


def test_hidden_state_loss():
    states = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    assert HiddenStateLoss(8, 8)(states, states).item() == 0
    wide = HiddenStateLoss(8, 12)
    teacher = wide.projection(states).detach()
    assert wide(states, teacher).item() == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="teacher"):
        HiddenStateLoss(8, 8)(states, teacher)


def test_distillation_of_a_copy_and_its_refusals():
    logits, states = torch.randn(2, 3, 7), torch.randn(2, 3, 5)
    assert soft_target_loss(logits, logits).item() == pytest.approx(0, abs=1e-6)
    assert hidden_direction_loss(states, 3 * states).item() == pytest.approx(0, abs=1e-6)
    assert hidden_direction_loss(states, -states).item() == pytest.approx(2, abs=1e-6)
    hard = torch.tensor(math.log(7))
    assert triple_loss(hard, (logits, logits), (states, states)).item() == pytest.approx(math.log(7) / 4, abs=1e-6)
    with pytest.raises(ValueError, match="temperature is 0"):
        soft_target_loss(logits, logits, 0)
    with pytest.raises(ValueError, match="teacher's"):
        soft_target_loss(logits, logits[..., :5])
    with pytest.raises(ValueError, match="teacher's"):
        hidden_direction_loss(states, states[:1])


def test_no_gradient_reaches_the_teacher():
    student, teacher = nn.Linear(4, 6), nn.Linear(4, 6)
    inputs = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    soft_target_loss(student(inputs), teacher(inputs), 2.0).backward()
    assert student.weight.grad is not None and teacher.weight.grad is None


def test_defaults_are_temperature_one_and_all_tokens():
    student, teacher = torch.randn(2, 3, 4, 7, generator=torch.Generator().manual_seed(0)).unbind(0)
    for loss in (soft_target_loss, soft_cross_entropy, reverse_kl):
        torch.testing.assert_close(loss(student, teacher), loss(student, teacher, 1.0, torch.ones(3, 4)))
        assert not torch.isclose(loss(student, teacher), loss(student, teacher, 2.0))


def test_the_three_losses_weigh_five_two_and_one_eighths():
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 3, 4, 7, generator=generator).unbind(0)
    ours, theirs = torch.randn(2, 3, 4, 5, generator=generator).unbind(0)
    hard = torch.tensor(2.0)
    expected = (5 * soft_target_loss(student, teacher, 2.0) + 2 * hard + hidden_direction_loss(ours, theirs)) / 8
    torch.testing.assert_close(triple_loss(hard, (student, teacher), (ours, theirs)), expected)


def test_directions_are_compared_token_by_token():
    student = torch.tensor([[[3.0, 0.0], [0.0, 2.0]]])
    teacher = torch.tensor([[[1.0, 0.0], [5.0, 0.0]]])
    assert hidden_direction_loss(student, teacher).item() == pytest.approx(0.5)


@pytest.mark.parametrize(("widths", "matrix"), [((5, 5), False), ((5, 8), True)])
def test_states_of_one_width_pass_as_they_are(widths, matrix):
    loss = HiddenStateLoss(*widths)
    assert [parameter.shape for parameter in loss.parameters()] == ([(8, 5)] if matrix else [])
    student, teacher = torch.ones(2, 5), torch.zeros(2, widths[1], requires_grad=True)
    found = loss(student, teacher)
    expected = loss.projection(student).square().mean()
    torch.testing.assert_close(found, expected)
    assert matrix or found.item() == 1


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_all_of_one_loss_may_be_asked(alpha):
    assert mixed_loss(torch.tensor(2.0), torch.tensor(8.0), alpha).item() == (2 if alpha else 8)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
@pytest.mark.parametrize("loss", [soft_target_loss, soft_cross_entropy, reverse_kl])
def test_temperatures_lie_above_zero(loss, temperature):
    with pytest.raises(ValueError, match="must be above 0"):
        loss(torch.ones(2, 3), torch.ones(2, 3), temperature)
