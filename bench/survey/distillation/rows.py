"""Verdicts on students: what must be seen first, and what is kept of every seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from bench.fixtures import Conclude
from bench.survey.distillation.lab import BILSTM, FIRST_LAYERS, Distillation
from bench.survey.distillation.lessons import LOGITS, Lesson, Student
from bench.survey.distillation.teachers import MAIN
from bench.verdict.crossed import CrossedInterval, crossed_interval
from bench.verdict.documents import LEVEL, Array, Interval
from bench.verdict.looks import Looks, measure_in_looks
from bench.verdict.needed import what_would_decide, which_would_decide
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from bench.verdict.seeds import contrast, deviation_ratio

AHEAD = Region(low=0.0)
"""Points of accuracy."""
GAP, ROOM = 5.0, 5.0
"""Points that a teacher must be ahead of a student of labels, and that accuracies keep from chance and from 100."""
MORE = 2
"""Times as many seeds at the second look."""
LABELS = Lesson()
PARTS = ("test", "shifted")
"""Distributions: the one that is learned from, and the other."""
Choose = Callable[[Distillation], Lesson]
"""Lesson of a student, which may have to be chosen on held-out examples first."""


@dataclass(frozen=True)
class Taught:
    """A contestant: a student by its kind, and how its lesson is found."""

    name: str
    kind: str
    choose: Choose

    def student(self, lab: Distillation) -> Student:
        """Student with its lesson."""
        return Student(self.kind, self.choose(lab))


def fixed(lesson: Lesson) -> Choose:
    """Lesson that is given beforehand."""
    return lambda _lab: lesson


def soft(kind: str, teacher: str = MAIN, **changes: object) -> Choose:
    """Soft targets with α and temperature chosen on held-out examples, then changed where a control asks for it."""
    return lambda lab: replace(lab.chosen(kind, lab.lessons("forward", teacher=teacher)), **changes)  # pyright: ignore[reportArgumentType]


def matched_logits(*, augmented: bool) -> Choose:
    """Squared distance of logits, with α chosen on held-out examples."""
    return lambda lab: lab.chosen(BILSTM, lab.lessons(LOGITS, teacher=MAIN, augmented=augmented))


def patient(lab: Distillation) -> Lesson:
    """Hidden states beside the soft targets chosen for MiniLM's first layers, with β chosen on held-out examples."""
    alone = soft(FIRST_LAYERS)(lab)
    return lab.chosen(FIRST_LAYERS, [replace(alone, beta=beta) for beta in lab.settings.betas])


def doubt(lab: Distillation, kinds: set[str], *, part: str = "test") -> str:
    """Reason why these students cannot show what a teacher gives; empty where they can."""
    teacher, missing = float(lab.teacher_accuracy().mean()), []
    floor = lab.floor
    seen = {"the teacher": teacher}
    for kind in sorted(kinds):
        seen[kind] = float(lab.accuracy(Student(kind)).mean())
        if not teacher - seen[kind] >= GAP:
            missing.append(
                f"the teacher is {teacher - seen[kind]:.1f} points ahead of {kind} on labels, needed {GAP:g}"
            )
    if part == "shifted":
        seen["the teacher out of distribution"] = float(lab.teacher_accuracy(part=part).mean())
    missing += [f"{name} is {x:.1f} % right" for name, x in seen.items() if not floor + ROOM < x < 100 - ROOM]
    if not missing:
        return ""
    return f"the task does not discriminate ({'; '.join(missing)}); train longer: --effort=thorough"


def drops(test: Array, shifted: Array) -> Array:
    """Points that each seed loses out of distribution, `[seeds]`, of what it has right, `[seeds, texts]`."""
    return 100 * (test.mean(1) - shifted.mean(1))


def ahead(of: str, name: str, first: Taught, second: Taught, *, control: bool = False) -> Row:
    """Row on the first student's mean accuracy less the second's, in points."""
    statistic = f"points of {first.name} over {second.name}, {first.kind}"
    return Row(name, of, statistic, AHEAD, "ahead, however little", (first, second), control=control)


def settle_ahead(conclude: Conclude, lab: Distillation, row: Row) -> None:
    """Conclude such a row."""
    taught = _taught(row)
    settle(conclude, lab, row, taught, partial(_ahead, lab, taught))


def settle_steadier(conclude: Conclude, lab: Distillation, row: Row) -> None:
    """Conclude a row on the first student's spread over seeds over the second's."""
    taught, notes = _taught(row), []

    def spreads(seeds: int, level: float) -> Interval:
        notes.clear()  # a look with more seeds may have what an earlier one lacked
        try:
            return deviation_ratio(*(lab.accuracy(each.student(lab), seeds=seeds) for each in taught), level=level)
        except ValueError as error:
            notes.append(f"{error}; train more seeds: --effort=thorough")
            return Interval(1.0, 0.0, math.inf)

    settle(conclude, lab, row, taught, spreads, of="seeds of each", ratio=True, notes=notes)


def settle_drop(conclude: Conclude, lab: Distillation, row: Row) -> None:
    """Conclude a row on the points that the first student loses out of distribution less those of whom it is held to.

    That is the second student, or its teacher where there is none.
    """
    taught = _taught(row)

    def drop(seeds: int, level: float) -> Interval:
        own, *other = (
            drops(*(lab.scored(each.student(lab), part=part, seeds=seeds) for part in PARTS)) for each in taught
        )
        if other:
            return contrast([own - other[0]], [1], level=level)
        return contrast([own, drops(*(lab.teacher_scored(part=part) for part in PARTS))], [1, -1], level=level)

    settle(conclude, lab, row, taught, drop, part="shifted")


def settle(
    conclude: Conclude,
    lab: Distillation,
    row: Row,
    taught: list[Taught],
    measure: Callable[[int, float], Interval],
    *,
    of: str = "seeds",
    ratio: bool = False,
    part: str = "test",
    notes: Sequence[str] = (),
) -> None:
    """Conclude a row that stands on students, with every seed's result and the lessons that were chosen.

    Seeds are added look by look until the row is decided; controls have no second look, nor has an instrument that does
    not qualify.

    Args:
        conclude: the fixture.
        lab: the instrument.
        row: as declared.
        taught: its students.
        measure: from seeds and a level to the interval.
        of: name of what there may be more of.
        ratio: the statistic is a ratio.
        part: distribution that the row is about.
        notes: what `measure` says against its own interval.
    """
    doubtful = doubt(lab, {each.kind for each in taught}, part=part)
    first = lab.settings.seeds
    looks = Looks((first,), level=LEVEL) if doubtful or row.control else Looks((first, MORE * first))
    outcome = measure_in_looks(looks, row.accept, measure)
    interval, seeds, level = outcome.interval, outcome.units, outcome.level
    if isinstance(interval, CrossedInterval):
        decide = which_would_decide(interval, row.accept, of=(of, "texts"), ratio=ratio, level=level)
    else:
        decide = what_would_decide(interval, seeds, row.accept, of=of, ratio=ratio, level=level)
    students = {each.name: each.student(lab) for each in taught}
    details = {
        "variants": {name: described(lab, student, seeds) for name, student in students.items()}
        | {"MiniLM, the teacher": _shown(lab.teacher_accuracy(), lab.teacher_accuracy(part="shifted"))},
        "looks": str(outcome),
    }
    conclude(row, interval, lab, doubt="; ".join(notes) or doubtful, details=details, decide=decide)


def described(lab: Distillation, student: Student, seeds: int) -> dict:
    """Accuracy of every seed on both distributions, the student's size and its lesson."""
    shown = _shown(*(lab.accuracy(student, part=part, seeds=seeds) for part in PARTS))
    return shown | {"parameters": lab.parameters(student), "lesson": asdict(student.lesson)}


def _shown(test: Array, shifted: Array) -> dict:
    return {"accuracy": test.round(3).tolist(), "shifted": shifted.round(3).tolist(), "failed": 0, "curves": []}


def _ahead(lab: Distillation, taught: list[Taught], seeds: int, level: float) -> CrossedInterval:
    """Points of the first over the second, of seeds crossed with texts.

    Seed by seed both start from the same weights and read in one order, and they are scored on the same texts.
    """
    first, second = (lab.scored(each.student(lab), seeds=seeds) for each in taught)
    return crossed_interval(100 * (first - second), lambda means: means[..., 0], level=level)


def _taught(row: Row) -> list[Taught]:
    return [each for each in row.contestants if isinstance(each, Taught)]
