"""Contests of students: what a row compares, at which tokens, and what is shown of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.krony.ladder import Ladder
from bench.krony.readings import DOUBLINGS, FRACTIONS
from bench.krony.rungs import BEYOND, Rates
from bench.krony.students import Student
from bench.krony.trend import ahead, between, fall, is_flat, now, unsteadiness, until_flat
from bench.verdict.crossed import CrossedInterval
from bench.verdict.documents import Array, Interval
from bench.verdict.needed import Needed, which_would_decide
from bench.verdict.regions import Region, Verdict, judge

VARIED = ("seeds", "documents")
REACH = 2.0
"""Times the way to 4 that the rate allows in all steps, at least: then a scalar that wants to be there can be."""
MOST_DOUBLINGS = 10
"""Doublings of tokens beyond which a trend of three readings says nothing of when a loss is flat."""


@dataclass(frozen=True)
class Compared:
    """A ratio of perplexities, with what a page shows of it."""

    interval: Interval
    details: dict = field(default_factory=dict)
    further: Needed | None = None
    """Reading that would make flat what is not; None where all is, or equal tokens are compared."""

    def decide(self, region: Region) -> Needed:
        """Runs or reading that would decide a row on this ratio."""
        if self.further is None and isinstance(self.interval, CrossedInterval):
            return which_would_decide(self.interval, region, of=VARIED)
        return self.further or Needed("more seeds and documents")


def losses_at(ladder: Ladder, student: Student, fractions: Sequence[float]) -> Array:
    """Scored losses after shares of the ladder's tokens, `[fractions, seeds, documents]`.

    Raises:
        ValueError: the student has no checkpoint there.
    """
    own = [fraction / student.share for fraction in fractions]
    if missing := [fraction for fraction in own if fraction not in FRACTIONS]:
        raise ValueError(f"{student} has checkpoints at {FRACTIONS} of its tokens, and none at {missing}")
    places = [FRACTIONS.index(fraction) for fraction in own]
    return np.stack([run["scored"][places] for run in ladder.runs(student)], axis=1)


def at_tokens(ladder: Ladder, first: Student, second: Student, fraction: float) -> Compared:
    """Ratio of perplexities after a share of the ladder's tokens, whatever comes later."""
    gaps = losses_at(ladder, first, [fraction]) - losses_at(ladder, second, [fraction])
    return Compared(now(gaps).map(math.exp), described(ladder, first, second))


def to_the_end(ladder: Ladder, first: Student, second: Student) -> Compared:
    """Ratio of perplexities at the end of training where both are flat, else from there to where its trend leads."""
    return of_losses(ladder, {first: 1, second: -1})


def of_losses(ladder: Ladder, weights: dict[Student, float]) -> Compared:
    """Exp of a weighted sum of students' losses: at the end, or from there to where it leads where one is not flat.

    Args:
        ladder: all students read its tokens.
        weights: of each student's loss; 1 and -1 give a ratio of perplexities.
    """
    gaps = sum(weight * losses_at(ladder, each, DOUBLINGS) for each, weight in weights.items())
    tokens = ladder.runs(next(iter(weights)))[0]["tokens"][-len(DOUBLINGS) :]
    measured, led = now(np.asarray(gaps)), ahead(tokens, np.asarray(gaps))
    falls = {each.name: fall_of(ladder, each) for each in weights}
    flat = all(map(is_flat, falls.values()))
    details = described(ladder, *weights) | {
        "course": {
            "now": _numbers(measured.map(math.exp)),
            "ahead": _numbers(led.map(math.exp)),
            "falls": {name: _numbers(each) for name, each in falls.items()},
            "flat": flat,
        }
    }
    if flat:
        return Compared(measured.map(math.exp), details)
    doublings = max(until_flat(*course_of(ladder, each)) for each in weights)
    return Compared(between(measured, led).map(math.exp), details, reading_on(doublings))


def reading_on(doublings: float) -> Needed:
    """Words for students that read on until the last of them is flat, or seem flat already."""
    if doublings == 0:
        return Needed("more seeds, which would show that students are flat as they seem,")
    if not doublings <= MOST_DOUBLINGS:
        return Needed("students that read on until they are flat (their losses hardly slow down yet)")
    times = 2**doublings
    return Needed(f"students that read about {times:.2g} times as much, by when all would be flat,", times)


def of_last_doubling(ladder: Ladder, student: Student, text: str) -> Compared:
    """Ratio of a student's perplexities at half of its tokens and at their end, on `scored` or `elsewhere` text."""
    losses = np.stack([run[text][-2:] for run in ladder.runs(student)], axis=1)  # [2, seeds, documents]
    return Compared(now(losses[:1] - losses[1:]).map(math.exp), described(ladder, student))


def still_learning(ladder: Ladder, student: Student) -> str:
    """Reason why longer training cannot be seen to stop helping; empty where the student is flat on its own text."""
    falling = fall_of(ladder, student)
    if is_flat(falling):
        return ""
    further = reading_on(until_flat(*course_of(ladder, student))).words
    return (
        f"on text as it reads {student.name} still falls by {falling.map(lambda share: 100 * share)} % a doubling, so "
        f"longer training helps on any text; {further} would show more"
    )


def held_out(ladder: Ladder, student: Student, fraction: float = 1.0) -> Array:
    """Held-out losses of a student after a share of the ladder's tokens, `[seeds]`."""
    own = FRACTIONS.index(fraction / student.share)
    return np.array([run["held_out"][run["along"] == run["tokens"][own]][0] for run in ladder.runs(student)])


def best_of(ladder: Ladder, family: Rates, fraction: float = 1.0) -> tuple[Student, bool]:
    """Student of the lowest held-out loss after a share of the tokens, and whether it is at an end of those tried.

    While it is, and the teacher can tell students apart, the next rate further out is tried.
    """
    low, high = BEYOND, len(family.students) - BEYOND
    while True:
        tried = family.students[low:high]
        place = int(np.argmin([float(held_out(ladder, each, fraction).mean()) for each in tried]))
        at_start, at_end = place == 0, place == len(tried) - 1
        if ladder.doubt() or not ((at_start and low > 0) or (at_end and high < len(family.students))):
            return tried[place], at_start or at_end
        low, high = low - at_start, high + at_end


def fall_of(ladder: Ladder, student: Student) -> Interval:
    """Share by which a student's held-out loss falls over a doubling of tokens at its end, over seeds."""
    return fall(*course_of(ladder, student))


def course_of(ladder: Ladder, student: Student) -> tuple[Array, Array]:
    """Tokens at a student's readings, `[readings]`, and its held-out losses there, `[seeds, readings]`."""
    runs = ladder.runs(student)
    return runs[0]["along"], np.stack([run["held_out"] for run in runs])


def out_of_reach(ladder: Ladder, rung: Student, start: float) -> str:
    """Reason why scalars could not have come to 4 in time; empty where they could."""
    own = ladder.settings.student
    reach = own.learning_rate * rung.scalar_rate * rung.share * own.steps  # Adam moves by about the rate a step
    if reach >= REACH * abs(4 - start):
        return ""
    return f"scalars can move by {reach:.2g} at most in all steps, from {start}; --effort=thorough trains longer"


def untried(first_over_second: Interval, first_at_end: bool, second_at_end: bool) -> str:
    """Reason to try more rates: the best of the family that loses is at an end of those tried; else empty."""
    verdict = judge(first_over_second, Region(low=1.0))
    loser_at_end = first_at_end if verdict is Verdict.REPRODUCED else second_at_end
    if verdict is Verdict.INCONCLUSIVE or not loser_at_end:
        return ""
    return "what loses is best at an end of all rates tried, so others might be better; add rates"


def spreads(ladder: Ladder, *students: Student) -> list[Array]:
    """Unsteadiness of each student's held-out loss, `[seeds]`, where all of them were read after as many tokens."""
    runs = {each: ladder.runs(each) for each in students}
    common = set.intersection(*({*each[0]["along"].tolist()} for each in runs.values()))
    along = np.array(sorted(common))
    return [
        np.array([unsteadiness(along, run["held_out"][np.isin(run["along"], along)]) for run in each])
        for each in runs.values()
    ]


def described(ladder: Ladder, *students: Student) -> dict:
    """Perplexity of every seed, sizes, tokens and slopes of students, for the page."""
    shown = {}
    for student in students:
        runs = ladder.runs(student)
        shown[student.name] = {
            "parameters": int(runs[0]["parameters"][0]),
            "tokens": int(runs[0]["tokens"][-1]),
            "objective": student.objective.value,
            "perplexity": [round(math.exp(run["scored"][-1].mean()), 4) for run in runs],
            "untrained": round(math.exp(min(float(runs[0]["before"].mean()), 99.0)), 4),
            "fall": _numbers(fall_of(ladder, student)) if student.has_course else None,
        }
    return {"students": shown}


def _numbers(interval: Interval) -> list[float]:
    return [round(x, 5) for x in (interval.value, interval.low, interval.high)]
