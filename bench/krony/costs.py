"""Seconds that the ladder's parts take, for estimates."""

from __future__ import annotations

import pytest

from bench.krony.students import Student

COSTS = [
    pytest.mark.cost(fixture="ladder", embedded=(5, 0, 1950), gpu=(10, 200, 650)),
    pytest.mark.cost(of=Student, embedded=(2, 0, 1250), gpu=(2, 30, 240)),
]
"""The ladder's teacher with half its depth, on a GPU six FLOPs a parameter and token at 400 TFLOP/s; a student over
all seeds, readings included."""
