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
