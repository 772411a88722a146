"""What would decide a row that is inconclusive: how many units of what, and how long that takes."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bench.verdict.conclude import by_arithmetic, concluded
from bench.verdict.crossed import crossed_interval
from bench.verdict.documents import Interval
from bench.verdict.needed import Needed, what_would_decide, which_would_decide
from bench.verdict.power import spread_of, units_to_decide
from bench.verdict.regions import GROWS, Region
from bench.verdict.rows import Row

POSITIVE = Region(low=0.0)
NAMES = ("seeds", "documents")


def test_a_row_says_how_many_documents_would_decide_it():
    row = Row("x", "LC3b", "growth", GROWS)
    interval = Interval(1.1, 0.9, 1.3)
    decide = what_would_decide(interval, 7, row.accept)
    reason = concluded(row, interval, by_arithmetic("x", scale="embedded"), decide=decide).reason
    needed = units_to_decide(math.log(1.1), spread_of(interval.map(math.log), 7), POSITIVE)
    assert f"about {needed} documents" in reason and "80% power" in reason and reason.endswith("would decide")


def test_a_row_at_its_boundary_says_that_no_number_decides():
    words = what_would_decide(Interval(1.0, 0.9, 1.1), 7, GROWS, of="seeds").words
    assert words.startswith("no number of seeds up to 10,000")


def test_an_interval_without_an_end_tells_no_number():
    assert "cannot be told" in what_would_decide(Interval(1.0, 0.5, math.inf), 7, GROWS).words
    assert "cannot be told" in what_would_decide(Interval(1.0, 0.0, 2.0), 7, GROWS).words


def test_a_ratio_is_judged_by_its_logarithm_and_a_difference_as_it_is():
    interval, region = Interval(1.2, 1.0, 1.44), Region(low=0.9)
    spread = spread_of(interval.map(math.log), 9)
    for ratio, expected in (
        (True, units_to_decide(math.log(1.2), spread, Region(low=math.log(0.9)))),
        (False, units_to_decide(1.2, spread_of(interval, 9), region)),
    ):
        assert f"about {max(expected, 10)} documents" in what_would_decide(interval, 9, region, ratio=ratio).words
    assert what_would_decide(interval, 9, region) == what_would_decide(interval, 9, region, ratio=True, of="documents")
    assert f"about {10} seeds" in what_would_decide(Interval(5.0, 4.9, 5.1), 9, region, of="seeds").words


def test_a_lower_end_of_zero_has_no_logarithm():
    assert "how many" not in what_would_decide(Interval(1.2, 1.0, 1.44), 9, Region(low=0.0, high=1.3)).words
    assert what_would_decide(Interval(1.2, 0.9, 1.6), 9, Region(high=1.3)).words.startswith("about")


def crossed(of_seeds, of_documents, mean=0.2, sizes=(5, 16)):
    """Interval of differences whose seeds and documents have offsets of exactly these spreads."""
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=size) for size in sizes]
    first, second = ((part - part.mean()) / part.std(ddof=1) for part in parts)
    values = mean + of_seeds * first[:, None] + of_documents * second[None, :]
    return crossed_interval(values, lambda means: means[..., 0])


@pytest.mark.parametrize(("spreads", "name", "units"), [((0.5, 0.0), "seeds", 5), ((0.0, 2.0), "documents", 16)])
def test_where_one_factor_varies_it_takes_as_many_units_as_it_would_alone(spreads, name, units):
    interval = crossed(*spreads)
    needed = which_would_decide(interval, POSITIVE, of=NAMES, ratio=False)
    (own,) = (part for axis, _, part in interval.factors if NAMES[axis] == name)
    alone = what_would_decide(own, units, POSITIVE, of=name, ratio=False)
    assert needed.words == alone.words and needed.times == pytest.approx(alone.times)


def test_what_other_factors_leave_open_takes_more_units():
    """Seeds against documents that fill none, and then some, of the room."""
    needed = [which_would_decide(crossed(0.5, x), POSITIVE, of=NAMES, ratio=False).times for x in (0.0, 0.1, 0.2)]
    assert needed == sorted(needed) and needed[0] < needed[-1]


def test_the_factor_that_costs_least_is_named():
    interval = crossed(0.5, 0.2)
    halves = [max(part.value - part.low, part.high - part.value) for _, _, part in interval.factors]
    times = {}
    for (axis, units, part), besides in zip(interval.factors, reversed(halves), strict=True):
        if needed := units_to_decide(part.value, spread_of(part, units), POSITIVE, besides=besides):
            times[NAMES[axis]] = needed / units
    needed = which_would_decide(interval, POSITIVE, of=NAMES, ratio=False)
    assert needed.times == pytest.approx(min(times.values())) and min(times, key=times.get) in needed.words


def test_where_no_factor_does_alone_there_is_more_of_each():
    interval = crossed(0.3, 0.6)
    assert all(0.2 - (each.interval.value - each.interval.low) < 0 for each in interval.factors)
    needed = which_would_decide(interval, POSITIVE, of=NAMES, ratio=False)
    assert "seeds and" in needed.words and "documents" in needed.words
    assert needed.times > 1


def test_more_of_each_costs_as_many_times_as_their_product():
    interval = crossed(0.3, 0.6)
    needed = which_would_decide(interval, POSITIVE, of=NAMES, ratio=False)
    seeds, documents = (int(word.replace(",", "")) for word in needed.words.split() if word[0].isdigit())
    assert needed.times == pytest.approx(seeds / 5 * documents / 16, rel=0.2)  # counts are whole


@pytest.mark.parametrize("ratio", [True, False])
def test_a_ratio_of_crossed_factors_is_judged_by_its_logarithm(ratio):
    interval, region = (crossed(0.5, 0.0).map(math.exp), Region(low=1.0)) if ratio else (crossed(0.5, 0.0), POSITIVE)
    expected = which_would_decide(crossed(0.5, 0.0), POSITIVE, of=NAMES, ratio=False)
    assert which_would_decide(interval, region, of=NAMES, ratio=ratio).words == expected.words


def test_an_estimate_at_the_boundary_is_decided_by_no_number():
    needed = which_would_decide(crossed(0.5, 0.5, mean=0.0), POSITIVE, of=NAMES, ratio=False)
    assert needed.words.startswith("no number of seeds or documents") and math.isnan(needed.times)


@pytest.mark.parametrize(
    ("needed", "seconds", "end"),
    [
        (Needed("about 40 seeds", 4.0), 900.0, "would decide, in about 60 min where these took 15 min"),
        (Needed("about 40 seeds", 4.0), 0.0, "about 40 seeds would decide"),
        (
            Needed("about 40 seeds and 80 documents", 4.0, at_most=True),
            900.0,
            "in at most 60 min where these took 15 min",
        ),
        (Needed("about 4,000 seeds", 400.0), 3600.0, "would decide, in about 17 days where these took 60 min"),
        (Needed("no number"), 900.0, "no number would decide"),
        ("more rounds", 900.0, "more rounds would decide"),
    ],
)
def test_a_row_says_what_deciding_it_costs(needed, seconds, end):
    row = Row("x", "LC3b", "growth", GROWS)
    result = concluded(
        row, Interval(1.1, 0.9, 1.3), by_arithmetic("x", scale="embedded"), decide=needed, seconds=seconds
    )
    assert result.reason.endswith(end)


@pytest.mark.parametrize(("effort", "said"), [("quick", True), ("normal", True), ("thorough", False), ("", False)])
def test_a_row_says_how_to_have_more_where_an_effort_does(effort, said):
    origin = replace(by_arithmetic("x", scale="embedded"), effort=effort)
    row = Row("x", "LC3b", "growth", GROWS)
    for needed, there in ((Needed("about 40 seeds", 4.0), said), (Needed("no number"), False)):
        reason = concluded(row, Interval(1.1, 0.9, 1.3), origin, decide=needed, seconds=900.0).reason
        assert reason.endswith("; --effort=thorough measures more") is there


def test_a_row_that_is_decided_needs_nothing():
    row = Row("x", "LC3b", "growth", GROWS)
    origin = by_arithmetic("x", scale="embedded")
    assert not concluded(row, Interval(1.1, 1.05, 1.3), origin, decide=Needed("x", 2.0), seconds=9).reason
