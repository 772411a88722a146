"""Verdicts on students: what must be seen first, and what is kept of every seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from bench.fixtures import Conclude
from bench.survey.distillation.lab import BILSTM, FIRST_LAYERS, Distillation
from bench.survey.distillation.lessons import LOGITS, Lesson, Student
from bench.survey.distillation.teachers import MAIN
from bench.verdict.crossed import CrossedInterval, crossed_interval
from bench.verdict.documents import Array, Interval
from bench.verdict.needed import Needed, what_would_decide, which_would_decide
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from bench.verdict.seeds import contrast, deviation_ratio

AHEAD = Region(low=0.0)
"""Points of accuracy."""
GAP, ROOM = 5.0, 5.0
"""Points that a teacher must be ahead of a student of labels, and that accuracies keep from chance and from 100."""
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
    interval = _ahead(lab, taught)
    decide = which_would_decide(interval, row.accept, of=("seeds", "texts"), ratio=False)
    settle(conclude, lab, row, interval, taught, decide=decide)


def settle_steadier(conclude: Conclude, lab: Distillation, row: Row) -> None:
    """Conclude a row on the first student's spread over seeds over the second's."""
    taught, note = _taught(row), ""
    try:
        interval = deviation_ratio(*(lab.accuracy(each.student(lab)) for each in taught))
    except ValueError as error:
        interval, note = Interval(1.0, 0.0, math.inf), f"{error}; train more seeds: --effort=thorough"
    decide = what_would_decide(interval, lab.settings.seeds, row.accept, of="seeds of each")
    settle(conclude, lab, row, interval, taught, decide=decide, note=note)


def settle_drop(conclude: Conclude, lab: Distillation, row: Row) -> None:
    """Conclude a row on the points that the first student loses out of distribution less those of whom it is held to.

    That is the second student, or its teacher where there is none.
    """
    taught = _taught(row)
    own, *other = (drops(*(lab.scored(each.student(lab), part=part) for part in PARTS)) for each in taught)
    if other:
        interval = contrast([own - other[0]], [1])
    else:
        interval = contrast([own, drops(*(lab.teacher_scored(part=part) for part in PARTS))], [1, -1])
    decide = what_would_decide(interval, len(own), row.accept, of="seeds", ratio=False)
    settle(conclude, lab, row, interval, taught, decide=decide, part="shifted")


def settle(
    conclude: Conclude,
    lab: Distillation,
    row: Row,
    interval: Interval,
    taught: list[Taught],
    *,
    decide: Needed,
    part: str = "test",
    note: str = "",
) -> None:
    """Conclude a row that stands on students, with every seed's result and the lessons that were chosen."""
    students = {each.name: each.student(lab) for each in taught}
    details = {
        "variants": {name: described(lab, student) for name, student in students.items()}
        | {"MiniLM, the teacher": _shown(lab.teacher_accuracy(), lab.teacher_accuracy(part="shifted"))},
    }
    doubtful = note or doubt(lab, {each.kind for each in taught}, part=part)
    conclude(row, interval, lab, doubt=doubtful, details=details, decide=decide)


def described(lab: Distillation, student: Student) -> dict:
    """Accuracy of every seed on both distributions, the student's size and its lesson."""
    shown = _shown(lab.accuracy(student), lab.accuracy(student, part="shifted"))
    return shown | {"parameters": lab.parameters(student), "lesson": asdict(student.lesson)}


def _shown(test: Array, shifted: Array) -> dict:
    return {"accuracy": test.round(3).tolist(), "shifted": shifted.round(3).tolist(), "failed": 0, "curves": []}


def _ahead(lab: Distillation, taught: list[Taught]) -> CrossedInterval:
    """Points of the first over the second, of seeds crossed with texts.

    Seed by seed both start from the same weights and read in one order, and they are scored on the same texts.
    """
    first, second = (lab.scored(each.student(lab)) for each in taught)
    return crossed_interval(100 * (first - second), lambda means: means[..., 0])


def _taught(row: Row) -> list[Taught]:
    return [each for each in row.contestants if isinstance(each, Taught)]
