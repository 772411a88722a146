"""Objectives of students: what is zero where a student is its teacher, and what each is made of."""

import copy

import pytest
import torch

from bench.krony.objectives import Objective, loss_of, states_loss
from compress.distillation.losses import HARD
from models.training.train import next_token_loss
from tests.tiny_models import tiny_gpt2


@pytest.fixture
def teacher():
    return tiny_gpt2().eval()


@pytest.mark.parametrize(
    ("objective", "share"),
    [(Objective.TEXT, 1), (Objective.TRIPLE, HARD), (Objective.INTERMEDIATE, 1), (Objective.SOFT, 0.5)],
)
def test_a_student_that_is_its_teacher_pays_for_the_text_alone(teacher, tokens, objective, share):
    student = copy.deepcopy(teacher)
    loss = loss_of(objective, teacher)(student, tokens)
    assert float(loss) == pytest.approx(share * float(next_token_loss(teacher, tokens)), rel=1e-4)


@pytest.mark.parametrize("objective", list(Objective))
def test_gradients_reach_the_student_and_never_the_teacher(teacher, tokens, objective):
    student = copy.deepcopy(teacher).requires_grad_(True)
    teacher.requires_grad_(False)
    loss_of(objective, teacher)(student, tokens).backward()
    assert all(parameter.grad is not None for parameter in student.parameters())


def test_the_distance_of_states_does_not_depend_on_their_scale():
    draw = torch.Generator().manual_seed(0)
    states = [tuple(torch.randn(2, 3, 4, generator=draw) for _ in range(2)) for _ in range(2)]
    scaled = [tuple(10 * state for state in each) for each in states]
    assert float(states_loss(*scaled)) == pytest.approx(float(states_loss(*states)), rel=1e-5)


def test_models_of_different_depths_have_no_distance_of_states():
    with pytest.raises(ValueError, match="depths"):
        states_loss((torch.ones(1),), (torch.ones(1), torch.ones(1)))
