"""Seconds that students are estimated to take, over one that reads all of the ladder's tokens by itself."""

from __future__ import annotations

import pytest

from bench.krony.costs import WITH_TEACHER, tokens_read
from bench.krony.rungs import HALFWAY, PHASES, student


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("81M", 1),
        ("MF1-1", HALFWAY),
        ("81M-distilled", WITH_TEACHER),
        ("81M-second-phase", PHASES["second-phase"].share),
    ],
)
def test_a_student_costs_what_it_reads_itself(name, times):
    assert tokens_read(student(name)) == times
