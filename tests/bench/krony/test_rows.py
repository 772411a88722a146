"""Rows on students and what they are derived from, on readings whose course is known."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest

from bench.krony import rows
from bench.krony.contests import (
    at_tokens,
    best_of,
    losses_at,
    of_last_doubling,
    of_losses,
    out_of_reach,
    reading_on,
    spreads,
    still_learning,
    to_the_end,
    untried,
)
from bench.krony.readings import FRACTIONS, reading_steps
from bench.krony.rungs import CONSTANT, COSINE, DISTILLED_HALVES, STUDENTS, WITH_SCALARS
from bench.krony.settings import LADDERS
from bench.krony.students import Student
from bench.verdict.documents import Interval
from models.training.train import Training

STEPS = 3200


def declared():
    """All rows on students."""
    return [row for name, value in vars(rows).items() if name.isupper() for row in flattened(value)]


def flattened(value):
    """Rows in lists, and in dictionaries as keys or in lists."""
    if isinstance(value, dict):
        return flattened([*value.keys(), *value.values()])
    if isinstance(value, list):
        return [row for each in value for row in flattened(each)]
    return [value] if isinstance(value, rows.Row) else []


class Course:
    """A ladder whose students' losses are functions of tokens: a limit, and what a doubling leaves of the way to it."""

    seeds, documents = 3, 12

    def __init__(self, limits, way=0.0, noise=0.0):
        self.limits, self.way, self.noise = limits, way, noise

    def doubt(self):
        return ""

    def runs(self, student):
        rng = np.random.default_rng(0)
        along = 2048 * np.array(reading_steps(round(student.share * STEPS)))
        tokens = 2048 * np.array([round(fraction * student.share * STEPS) for fraction in FRACTIONS])
        return [self.run(student, along, tokens, rng) for _ in range(self.seeds)]

    def run(self, student, along, tokens, rng):
        loss = self.loss(student, tokens)[:, None] + rng.normal(0, 1e-4, (1, self.documents))
        return {
            "along": along,
            "held_out": self.loss(student, along) + rng.normal(0, 1e-6 + self.noise, len(along)),
            "tokens": tokens,
            "scored": loss,
            "elsewhere": loss + 1,
            "before": loss[0],
            "parameters": np.array([10]),
        }

    def loss(self, student, tokens):
        return self.limits[student.name] + self.way * (2048 * STEPS / tokens) ** 0.5


def test_no_rung_is_trained_for_nothing():
    contestants = {each for row in declared() for each in row.contestants if isinstance(each, Student)}
    assert contestants == set(STUDENTS.values())


def test_names_of_rows_are_unique():
    names = [row.name for row in declared()]
    assert len(names) == len(set(names))


def test_students_are_compared_where_both_have_a_checkpoint():
    course = Course(dict.fromkeys(STUDENTS, 3.0))
    for fraction, group in rows.EQUAL_TOKENS.items():
        for row in group:
            assert all(losses_at(course, each, [fraction]).shape == (1, 3, 12) for each in row.contestants)
    for row in (*rows.FOLLOWED, rows.BEND):
        assert all(losses_at(course, each, FRACTIONS).shape == (5, 3, 12) for each in row.contestants)
    with pytest.raises(ValueError, match="no"):
        losses_at(course, STUDENTS["MF1-1"], [1.0])


FIRST, SECOND = STUDENTS["half"], STUDENTS["81M"]


def test_flat_students_are_compared_at_their_end():
    compared = to_the_end(Course({"half": 3.1, "81M": 3.0}), FIRST, SECOND)
    assert compared.details["course"]["flat"]
    assert compared.interval.value == pytest.approx(math.exp(0.1), rel=1e-3)
    assert compared.interval.high - compared.interval.low < 0.01


def test_students_that_still_learn_are_followed_to_where_their_ratio_leads():
    class Catching(Course):
        def loss(self, student, tokens):
            return 3.0 - 0.05 * np.log2(tokens / 2048 / STEPS) * (student is SECOND)

    compared = to_the_end(Catching({}), FIRST, SECOND)
    assert not compared.details["course"]["flat"] and "students that read" in compared.decide(rows.BETTER).words
    assert compared.interval.value == pytest.approx(1, abs=1e-3)
    assert compared.interval.high == pytest.approx(math.exp(0.15), rel=1e-2)


@pytest.mark.parametrize("doublings", [445.0, math.inf, math.nan])
def test_reading_that_no_trend_foresees_is_not_counted(doublings):
    needed = reading_on(doublings)
    assert "until they are flat" in needed.words and math.isnan(needed.times)


def test_reading_is_counted_where_the_trend_foresees_its_end():
    assert reading_on(3.0).times == 8 and "about 8 times as much" in reading_on(3.0).words
    assert "more seeds" in reading_on(0.0).words


def test_weights_of_losses_make_a_bend():
    course = Course({"67M": 3.5, "81M": 3.2, "95M-van-loan": 3.1})
    small, middle, large = rows.BEND.contestants
    bend = of_losses(course, {small: 1, middle: -2, large: 1}).interval
    assert bend.value == pytest.approx(math.exp(0.2), rel=1e-3)


def test_what_a_doubling_of_tokens_gains_is_a_ratio_on_either_text():
    course = Course({"81M": 3.0}, way=0.1)
    expected = math.exp(0.1 * (2**0.5 - 1))
    for text in ("scored", "elsewhere"):
        assert of_last_doubling(course, SECOND, text).interval.value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("way", "doubted"), [(0.0, False), (0.3, True)])
def test_a_student_that_still_learns_its_own_text_cannot_show_that_longer_training_stops_helping(way, doubted):
    said = still_learning(Course({"81M": 3.0}, way=way), SECOND)
    assert bool(said) == doubted and ("81M still falls by" in said and "would show more" in said) == doubted


def test_equal_tokens_take_no_account_of_what_comes_later():
    compared = at_tokens(Course({"half": 3.1, "81M": 3.0}, way=0.5), FIRST, SECOND, 0.1)
    assert compared.interval.value == pytest.approx(math.exp(0.1), rel=1e-3)


@pytest.mark.parametrize(
    ("losses", "best", "at_end", "tried"),
    [
        ((9, 9, 3, 2, 4, 9, 9), "81M", False, 3),
        ((9, 3, 2, 3, 4, 0, 0), "81M-half-rate", False, 4),
        ((1, 2, 3, 4, 5, 0, 0), "81M-eighth-rate", True, 5),
        ((9, 9, 9, 4, 3, 2, 2.5), "81M-fourfold-rate", False, 5),
    ],
)
def test_rates_further_out_are_tried_while_the_best_is_at_an_end(losses, best, at_end, tried):
    course = Course({each.name: loss for each, loss in zip(CONSTANT.students, losses, strict=True)})
    asked, runs = set(), course.runs
    course.runs = lambda student: (asked.add(student), runs(student))[1]
    assert best_of(course, CONSTANT)[0].name == best_of(course, CONSTANT, 0.5)[0].name == best
    assert best_of(course, CONSTANT)[1] is at_end and len(asked) == tried


def test_a_teacher_that_tells_nothing_apart_has_no_further_rates_tried():
    course = Course({each.name: n for n, each in enumerate(CONSTANT.first)})
    course.doubt = lambda: "the teacher learned too little"
    assert best_of(course, CONSTANT) == (CONSTANT.first[0], True)


def test_rates_double_and_a_cosine_schedule_has_the_mean_of_a_constant_one():
    for family, middle in ((CONSTANT, 1.0), (DISTILLED_HALVES, 1.0), (COSINE, 2.0)):
        assert [each.rate for each in family.first] == [middle / 2, middle, 2 * middle]
        assert all(b.rate == 2 * a.rate for a, b in itertools.pairwise(family.students))
        assert [each.name.endswith("rate") for each in family.students] == [each.rate != 1 for each in family.students]


@pytest.mark.parametrize(
    ("bounds", "cosine_at_end", "constant_at_end", "doubted"),
    [((0.9, 0.95), False, True, True), ((0.9, 0.95), True, False, False), ((1.1, 1.2), True, False, True)],
)
def test_the_schedule_that_loses_must_have_had_its_best_rate(bounds, cosine_at_end, constant_at_end, doubted):
    low, high = bounds
    assert bool(untried(Interval(low, low, high), cosine_at_end, constant_at_end)) == doubted


@pytest.mark.parametrize(("steps", "reached"), [(3200, True), (100, False)])
def test_scalars_that_cannot_come_to_4_judge_nothing(steps, reached):
    ladder = SimpleNamespace(settings=SimpleNamespace(student=Training(steps, 16, 1e-3)))
    assert (out_of_reach(ladder, WITH_SCALARS[-1], 8) == "") == reached


def test_scalars_of_the_long_ladder_can_come_to_4():
    ladder = SimpleNamespace(settings=LADDERS["embedded", "thorough"])
    assert not any(out_of_reach(ladder, rung, start) for rung, start in zip(WITH_SCALARS, (1, 2, 4, 8), strict=True))


def test_spread_is_taken_where_both_were_read():
    small, large = STUDENTS["81M-small-batch"], STUDENTS["81M"]
    limits = {"81M-small-batch": 3.0, "81M": 3.0}
    noisy = [float(np.mean(spreads(Course(limits, noise=noise), small, large)[0])) for noise in (0.01, 0.02)]
    assert noisy[1] == pytest.approx(2 * noisy[0], rel=1e-3)
