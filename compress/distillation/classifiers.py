"""Losses and teachers of classifiers: logits matched, states matched at layers, and the mean of several teachers."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def logit_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of logits `[batch, classes]`, the mean over texts and classes (Ba & Caruana 2014, eq. 1).

    Tang et al. 2019 (§3.2, eq. 2) train a BiLSTM on BERT with it. No gradient goes to the teacher.

    Raises:
        ValueError: the shapes differ.
    """
    _check(student, teacher)
    return functional.mse_loss(student.float(), teacher.detach().float())


def patient_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of states made unit vectors, the mean over texts and layers (Sun et al. 2019, eq. 7).

    Args:
        student: the first token's states, `[batch, layers, width]`.
        teacher: those of the layers that `patient_layers` names, of the same shape; no gradient goes there.

    Raises:
        ValueError: the shapes differ.
    """
    _check(student, teacher)
    unit = functional.normalize(student.float(), dim=-1)
    return (unit - functional.normalize(teacher.detach().float(), dim=-1)).square().sum(-1).mean()


def patient_layers(student: int, teacher: int) -> list[int]:
    """Layers of a teacher, counted from 1, whose states a student's layers learn: every k-th one (PKD-Skip).

    The student's layer j learns the teacher's j·k with k = teacher / student, and the last layer of all is left to the
    logits (Sun et al. 2019, §3.2).

    Args:
        student: number of the student's layers.
        teacher: number of the teacher's layers.

    Raises:
        ValueError: the student has one layer, or its number of layers does not divide the teacher's.
    """
    if student < 2 or teacher % student:
        raise ValueError(f"{student} layers cannot learn every k-th of {teacher}; give at least 2, and a divisor")
    return [teacher // student * layer for layer in range(1, student)]


def ensemble_logits(teachers: Tensor) -> Tensor:
    """Logits whose softmax is the mean of the teachers' probabilities (Bucila et al. 2006): `[..., classes]`.

    Args:
        teachers: logits of each, `[teachers, ..., classes]`.
    """
    return torch.logsumexp(teachers.float().log_softmax(-1), 0) - math.log(len(teachers))


def _check(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape:
        raise ValueError(f"the student gives {tuple(student.shape)} and the teacher {tuple(teacher.shape)}")
