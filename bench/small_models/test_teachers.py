"""The Berkeley report's claims on teachers (Table 4.6), SL7, SL11 and SL12: four pairs of a student and a teacher."""

from __future__ import annotations

from functools import partial

import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.small_models.lab import SmallModels
from bench.small_models.printed import TABLE_4_6, Pair
from bench.small_models.rates import AT_OWN, OwnBaseline, no_more_than_rates_give, tried_at
from bench.small_models.rows import SAME, ahead, doubt, settle_ahead, settle_steadier, steadier, variants_of
from bench.small_models.variants import Chosen, Distilled, Variant
from bench.verdict.rows import Row

PAPER_SCALE = "paper-t5"
pytestmark = [
    pytest.mark.cost(fixture="small", embedded=(10, 0, 500), gpu=(10, 200, 1600)),
    pytest.mark.cost(shared="teachers small and base, α and T", embedded=(20, 0, 900), gpu=(60, 2000, 8000)),
    pytest.mark.cost(of=Variant, embedded=(3, 0, 600), gpu=(15, 400, 3200)),
]
"""Forty seeds of a student at most; every row needs tiny and mini, and nine students a pair that are not scored."""
PAIRS = {(pair.student, pair.teacher): pair for pair in TABLE_4_6}
STUDENTS = ("mini", "tiny")


def chosen(student: str, teacher: str) -> tuple[str, Variant]:
    """Student with α and T chosen on held-out examples."""
    return f"{teacher} to {student}", Variant(student, distilled=Chosen(teacher))


def printed(student: str, teacher: str, of: Pair | None = None) -> tuple[str, Variant]:
    """Student with the report's α and T for its teacher, or for that of another pair."""
    pair = of or PAIRS[student, teacher]
    how = Distilled(teacher, pair.alpha, pair.temperature)
    return f"{teacher} to {student}, α {pair.alpha:g}, T {pair.temperature:g}", Variant(student, distilled=how)


def baseline(student: str) -> tuple[str, Variant]:
    """Student of labels alone."""
    return f"{student} on labels", Variant(student)


MEANS = [
    row
    for student in STUDENTS
    for row in (
        ahead(
            "SL7a",
            f"SL7-mean-{student}",
            chosen(student, "small"),
            chosen(student, "base"),
            accept=SAME,
            because="the report's own differences between them are 0.0 and 0.1",
        ),
        ahead(
            "SL7a",
            f"SL7-mean-printed-settings-{student}",
            printed(student, "small"),
            printed(student, "base"),
            accept=SAME,
            because="the report's α and T, which differ between the teachers",
            control=True,
        ),
    )
]
GAINS = [
    row
    for student, teacher in PAIRS
    for row in (
        ahead("SL11a", f"SL11-{teacher}-to-{student}", chosen(student, teacher), baseline(student)),
        ahead(
            "SL11a",
            f"SL11-{teacher}-to-{student}-printed-settings",
            printed(student, teacher),
            baseline(student),
            control=True,
        ),
    )
]


@pytest.mark.parametrize("row", parameters(*MEANS))
def test_means_of_students(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Table 4.6: a near teacher keeps the mean."""
    settle_ahead(conclude, small, row)


def on_labels(variant: Variant) -> float:
    """One for what is trained at rates of its own, a model on labels; nought for a student."""
    return float(variant.distilled is None)


OVER_OWN = [
    ahead(
        "SL11a",
        f"SL11-{teacher}-to-{student}-over-baseline-at-own-rates",
        chosen(student, teacher),
        baseline(student),
        because="is it more than better rates give the baseline?",
        control=True,
    )
    for student, teacher in PAIRS
]


@pytest.mark.cost(of=Variant, times=on_labels, how=AT_OWN, embedded=(8, 0, 900), gpu=(20, 700, 3000))
@pytest.mark.parametrize("row", parameters(*GAINS))
def test_students_gain_on_their_baseline(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Table 4.6: every student gains on its baseline, and by more than better rates give that."""
    reasons = None if row.control else partial(no_more_than_rates_give, small, row)
    settle_ahead(conclude, small, row, reasons=reasons)


@pytest.mark.cost(of=Variant, times=on_labels, how=AT_OWN, embedded=(8, 0, 900), gpu=(20, 700, 3000))
@pytest.mark.parametrize("row", parameters(*OVER_OWN))
def test_means_over_a_baseline_at_its_own_rates(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Distilled students at the protocol's rates less baselines each at the best of eight pairs of rates."""
    of, variants = small.session.settings, [small.resolved(variant) for variant in variants_of(row).values()]
    if of.scale.startswith("paper"):
        pytest.skip("the paper's own rates are the paper's; run without --scale=paper")
    doubtful = doubt(small, variants)
    settle_ahead(conclude, OwnBaseline(small, tried_at(of.effort)), row, doubtful=doubtful)


SPREADS = [
    row
    for student in STUDENTS
    for row in (
        steadier("SL7b", f"SL7-spread-{student}", chosen(student, "base"), chosen(student, "small")),
        steadier(
            "SL7b",
            f"SL7-spread-printed-settings-{student}",
            printed(student, "base"),
            printed(student, "small"),
            control=True,
        ),
        steadier(
            "SL7b",
            f"SL7-spread-equal-settings-{student}",
            printed(student, "base", PAIRS[student, "small"]),
            printed(student, "small"),
            control=True,
        ),
    )
]
RAISED = [
    row
    for student, teacher in PAIRS
    for row in (
        steadier("SL12a", f"SL12-{teacher}-to-{student}", chosen(student, teacher), baseline(student)),
        steadier(
            "SL12a",
            f"SL12-{teacher}-to-{student}-printed-settings",
            printed(student, teacher),
            baseline(student),
            control=True,
        ),
    )
]


@pytest.mark.parametrize("row", parameters(*SPREADS, *RAISED))
def test_spreads_of_students(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Table 4.6: a near teacher cuts the spread over seeds; distillation raises it above the baseline's."""
    settle_steadier(conclude, small, row)
