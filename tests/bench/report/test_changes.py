"""What a night says of the nights before it, and what of that fails it."""

import pytest

from bench.report.changes import changes
from tests.bench.report.synthetic import evidence, result

ROW = "LC1-magnitude-0.1"


def only(before, now):
    (change,) = changes(evidence(before), evidence(now))
    return change


def test_changed_new_and_missing_rows_are_named():
    old = evidence(result(), result("LC2-gone"), result("LC3-same"))
    new = evidence(result(verdict="inconclusive", value=1.2, high=1.3), result("LC4-new"), result("LC3-same"))
    assert [change.line for change in changes(old, new)] == [
        f"{ROW}: reproduced -> inconclusive (1.00 [0.90, 1.10] -> 1.20 [0.90, 1.30])",
        "LC2-gone: missing, was reproduced (1.00 [0.90, 1.10])",
        "LC4-new: new, reproduced (1.00 [0.90, 1.10])",
    ]
    assert [change.worse for change in changes(old, new)] == [True, True, False]


def test_a_measured_row_that_was_not_run_is_worse_and_says_why():
    change = only(result(), result(verdict="not run", value=None, reason="the card fell off the bus"))
    assert change.worse
    assert change.line == f"{ROW}: reproduced -> not run (1.00 [0.90, 1.10] -> –): the card fell off the bus"


@pytest.mark.parametrize("later", [result("LC3-other"), result(), result(verdict="not reproduced", value=3.0)])
def test_a_row_that_was_never_run_cannot_get_worse(later):
    old = evidence(result(verdict="not run", value=None))
    assert not any(change.worse for change in changes(old, evidence(later)))


@pytest.mark.parametrize(
    ("before", "now", "worse"),
    [
        ("reproduced", "not reproduced", True),
        ("inconclusive", "not reproduced", True),
        ("not reproduced", "inconclusive", False),
        ("inconclusive", "reproduced", False),
    ],
)
def test_worse_is_further_from_reproduced(before, now, worse):
    assert only(result(verdict=before), result(verdict=now, value=2.0)).worse is worse


def test_an_estimate_inside_the_interval_on_record_is_no_worse():
    change = only(result(), result(verdict="inconclusive", value=1.05, high=1.3))
    assert not change.worse
    assert change.line.endswith("inside the interval on record")


def test_times_are_compared_on_the_same_card_only():
    before = result(machine="card A")
    slower = {"verdict": "not reproduced", "value": 2.0}
    assert only(before, result(machine="card A", **slower)).worse
    change = only(before, result(machine="card B", **slower))
    assert not change.worse
    assert change.line.endswith("not compared: timed on card B, before on card A")
