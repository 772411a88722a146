"""Grades in plain words: the worst measure decides, an interval over a limit names both, a bad block breaks."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.verdict.documents import Interval
from bench.verdict.grades import LEAST_DEPARTURE, LIMITS, WORDS, bad_blocks, foreign_settings, grade_of


def exact(value):
    return Interval(value, value, value)


def measures(ratio=1.0, kl=0.0, top1=1.0):
    return {"ratio": exact(ratio), "kl": exact(kl), "top1": exact(top1)}


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_belongs_to_the_better_grade(name):
    for place, limit in enumerate(LIMITS[name]):
        beyond = math.nextafter(limit, -1 if name == "top1" else 9)
        assert grade_of(measures(**{name: limit})).words.startswith(WORDS[place])
        assert grade_of(measures(**{name: beyond})).words.startswith(WORDS[place + 1])


@given(st.floats(1, 3), st.floats(0, 2), st.floats(0, 1))
def test_no_measure_grades_better_than_all_together(ratio, kl, top1):
    together = grade_of(measures(ratio, kl, top1))
    single = [grade_of(measures(**one)).worst for one in ({"ratio": ratio}, {"kl": kl}, {"top1": top1})]
    assert together.worst == together.best == max(single)


def test_an_interval_over_a_limit_names_both_grades():
    grade = grade_of(measures() | {"ratio": Interval(1.1, 1.05, 1.2)})
    assert not grade.decided
    assert grade.words == "slightly worse than the dense model or worse than the dense model"
    assert grade.reason == "perplexity 1.100 times the dense model's [1.050, 1.200]"


def test_the_reason_is_the_measure_that_decides():
    assert grade_of(measures(kl=0.3)).reason.startswith("KL 0.3 nats")
    assert grade_of(measures(top1=0.6)).reason.startswith("60.0% of the top tokens")


def test_what_is_no_number_is_broken():
    assert grade_of(measures(), unusable=3).words == "broken"
    assert grade_of(measures(kl=math.inf)).words == "broken"


def test_a_bad_block_breaks_a_checkpoint_whose_text_hardly_shows_it():
    grade = grade_of(measures(), bad_blocks=[7])
    assert grade.words == "broken" and grade.reason.startswith("block 7 departs alone")


@pytest.mark.parametrize(
    "departures, expected",
    [
        (None, []),
        ([], []),
        ([0.1, 0.1, 0.9, 0.1], [2]),
        ([0.9, 0.9, 0.9, 0.9], []),  # few bits move all
        ([0.01, 0.01, 0.4, 0.01], []),  # stands out, and does little
        ([0.1, LEAST_DEPARTURE, 0.1], []),
        ([0.1, math.nextafter(LEAST_DEPARTURE, 1), 0.1], [1]),
        ([0.1, math.nan, 0.1], [1]),
        ([math.nan], [0]),
        ([0.1, math.inf, 0.1], [1]),
    ],
)
def test_bad_blocks(departures, expected):
    assert bad_blocks(departures) == expected


def test_another_base_of_rope_breaks_a_checkpoint_that_predicts_otherwise():
    differing = ["rope_parameters.rope_theta", "intermediate_size", "num_hidden_layers", "tie_word_embeddings"]
    foreign = foreign_settings(differing)
    assert foreign == ["rope_parameters.rope_theta"]
    grade = grade_of(measures(kl=0.05), foreign=foreign)
    assert grade.words == "broken" and "block 0" in grade.reason and foreign[0] in grade.reason
    assert grade_of(measures(), foreign=foreign).words == "as good as the dense model"
    assert grade_of(measures(kl=0.05)).words == "slightly worse than the dense model"
