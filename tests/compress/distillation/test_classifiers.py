"""Losses of distilled classifiers are their definitions, and a teacher takes no gradient."""

import pytest
import torch
from torch.nn import functional

from compress.distillation.classifiers import ensemble_logits, logit_loss, patient_layers, patient_loss


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_equal_states_cost_nothing():
    states = drawn(4, 2, 8)
    assert patient_loss(states, states).item() == 0


@pytest.mark.parametrize("scale", [0.1, 30.0])
def test_lengths_of_states_do_not_matter(scale):
    student, teacher = drawn(4, 2, 8), drawn(4, 2, 8, seed=1)
    torch.testing.assert_close(patient_loss(scale * student, teacher / scale), patient_loss(student, teacher))


def test_opposite_states_are_as_far_apart_as_unit_vectors_can_be():
    states = drawn(4, 2, 8)
    torch.testing.assert_close(patient_loss(states, -states), torch.tensor(4.0))


def test_logit_loss_is_the_mean_square():
    student, teacher = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 5.0]])
    assert logit_loss(student, teacher).item() == (1 + 9) / 2


@pytest.mark.parametrize("loss", [logit_loss, patient_loss])
def test_no_gradient_goes_to_the_teacher(loss):
    student, teacher = (drawn(3, 2, 4, seed=seed).requires_grad_() for seed in (0, 1))
    loss(student, teacher).backward()
    assert teacher.grad is None and student.grad is not None


@pytest.mark.parametrize("loss", [logit_loss, patient_loss])
def test_other_shapes_are_refused(loss):
    with pytest.raises(ValueError, match=r"student gives \(3, 2\) and the teacher \(3, 1\)"):
        loss(drawn(3, 2), drawn(3, 1))


def test_layers_are_every_kth_without_the_last():
    assert patient_layers(6, 12) == [2, 4, 6, 8, 10]  # the paper's BERT-6 of BERT-12
    assert patient_layers(3, 12) == [4, 8]
    assert patient_layers(2, 6) == [3]


@pytest.mark.parametrize("student", [1, 4])
def test_layers_that_do_not_divide_are_refused(student):
    with pytest.raises(ValueError, match="cannot learn every k-th of 6"):
        patient_layers(student, 6)


def test_an_ensemble_of_one_is_the_teacher():
    logits = drawn(1, 5, 3)
    torch.testing.assert_close(ensemble_logits(logits).softmax(-1), logits[0].softmax(-1))


def test_an_ensemble_gives_the_mean_of_probabilities():
    logits = drawn(4, 5, 3)
    torch.testing.assert_close(ensemble_logits(logits).softmax(-1), functional.softmax(logits, -1).mean(0))


@pytest.mark.parametrize("student", [0, 1, 5])
def test_a_student_has_two_layers_at_least_and_a_divisor_of_the_teachers(student):
    with pytest.raises(ValueError, match=f"{student} layers cannot learn every k-th of 12"):
        patient_layers(student, 12)
    assert patient_layers(2, 2) == [1]


def test_an_ensembles_logits_are_log_probabilities():
    logits = drawn(4, 5, 3)
    torch.testing.assert_close(ensemble_logits(logits).exp().sum(-1), torch.ones(5))
    torch.testing.assert_close(ensemble_logits(logits + drawn(4, 5, 1, seed=2)), ensemble_logits(logits))


def test_patient_loss_is_the_mean_over_texts_and_layers():
    student = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    teacher = torch.tensor([[[0.0, 1.0], [0.0, 9.0]]])
    assert patient_loss(student, teacher).item() == pytest.approx(1.0)
