"""Seconds that the ladder's parts take, for estimates."""

from __future__ import annotations

import pytest

from bench.krony.objectives import Objective
from bench.krony.students import Student

WITH_TEACHER = 1.4
"""Times as long that a student takes whose teacher reads the same tokens."""


def tokens_read(student: Student) -> float:
    """Share of the ladder's tokens that a student reads itself, counted more where its teacher reads them too.

    A second phase goes on from a student that another row has trained.
    """
    share = student.share if student.then is None else student.then.share
    return share if student.objective is Objective.TEXT else WITH_TEACHER * share


COSTS = [
    pytest.mark.cost(shared="base", embedded=(5, 0, 1950), gpu=(10, 200, 650)),
    pytest.mark.cost(of=Student, times=tokens_read, embedded=(2, 0, 1250), gpu=(2, 30, 240)),
]
"""The ladder's teacher with half its depth, on a GPU six FLOPs a parameter and token at 400 TFLOP/s; a student over
all seeds, readings included."""
