"""Looks: published boundaries, the error over all of them, and what they save."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from scipy import stats

from bench.verdict.documents import LEVEL, RESAMPLES, Interval
from bench.verdict.looks import Looks, boundaries, decided, measure_in_looks, obrien_fleming, quadratic, resamples_for
from bench.verdict.regions import GROWS, UNCHANGED, Verdict
from bench.verdict.trials import heavy, normal, of_looks, skewed
from models.errors import InputError

SPENDINGS = pytest.mark.parametrize("spending", [obrien_fleming, quadratic], ids=lambda spending: spending.__name__)
DOCUMENTS, SEEDS = (8, 16, 32), (5, 10, 20, 40)


def walks(fractions, paths=200_000):
    """Standard normal estimates over their error at each look, of paths whose truth is the boundary."""
    steps = np.sqrt(np.diff([0, *fractions])) * np.random.default_rng(0).normal(size=(paths, len(fractions)))
    return steps.cumsum(1) / np.sqrt(fractions)


def test_boundaries_are_those_that_are_printed_for_five_equal_looks():
    """Proschan, Lan & Wittes 2006 and ldbounds, spending like O'Brien & Fleming at 5 %, both sides."""
    printed = [4.877, 3.357, 2.680, 2.290, 2.031]
    np.testing.assert_allclose(boundaries((0.2, 0.4, 0.6, 0.8, 1.0), obrien_fleming, 0.05), printed, atol=6e-4)


@SPENDINGS
@pytest.mark.parametrize("sizes", [DOCUMENTS, SEEDS], ids=str)
def test_all_looks_together_are_wrong_as_often_as_the_level_says(sizes, spending):
    """Of 200,000 paths 5 % leave the boundaries, and as many to either side; four binomial errors are 0.2 %."""
    fractions = tuple(size / sizes[-1] for size in sizes)
    limits, paths = np.array(boundaries(fractions, spending, 0.05)), walks(fractions)
    out = np.abs(paths) > limits
    first = np.where(out.any(1), paths[np.arange(len(paths)), out.argmax(1)], 0)
    assert (first > 0).mean() == pytest.approx(0.025, abs=0.0015)
    assert (first < 0).mean() == pytest.approx(0.025, abs=0.0015)


def test_looking_three_times_at_the_usual_level_is_wrong_twice_as_often():
    assert (np.abs(walks((0.25, 0.5, 1.0))) > 1.96).any(1).mean() > 0.1


@SPENDINGS
def test_all_error_is_spent_at_the_end_and_none_before_the_beginning(spending):
    assert spending(1.0, 0.025) == pytest.approx(0.025)
    assert 0 <= spending(0.01, 0.025) < 1e-4
    shares = [spending(fraction, 0.025) for fraction in np.linspace(0.05, 1, 20)]
    assert shares == sorted(shares)


@SPENDINGS
def test_levels_fall_towards_the_usual_one_and_stay_above_it(spending):
    looks = Looks(DOCUMENTS, spending, level=LEVEL)
    levels = [looks.confidence(look) for look in (1, 2, 3)]
    assert levels == sorted(levels, reverse=True) and LEVEL < levels[-1] < 0.96


def test_a_single_look_has_the_level_of_all_looks_exactly():
    assert Looks((7,), level=LEVEL).confidence(1) == LEVEL


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99, 0.9995])
def test_bounds_of_a_bootstrap_have_resamples_beyond_them(level):
    assert resamples_for(level) * (1 - level) / 2 >= 5
    assert resamples_for(level) >= RESAMPLES


@pytest.mark.parametrize("level", [0.999999, 1.0])
def test_a_level_that_no_bootstrap_can_show_is_refused(level):
    with pytest.raises(InputError, match="leave out that look"):
        resamples_for(level)


def test_a_look_at_next_to_nothing_still_has_an_interval_with_ends():
    level = Looks((2, 1000)).confidence(1)
    assert level < 1 and np.isfinite(stats.t.ppf((1 + level) / 2, 1))


def test_an_interval_inside_or_outside_is_decided():
    assert decided(Interval(1.0, 0.9, 1.1), UNCHANGED)
    assert decided(Interval(2.0, 1.5, 3.0), UNCHANGED)
    assert not decided(Interval(1.0, 0.5, 1.1), UNCHANGED)


def measured(half_of_one):
    """Measurement whose interval narrows with the root of the units, and what was asked of it."""
    asked = []

    def measure(units, level):
        asked.append(units)
        half = half_of_one * stats.norm.ppf((1 + level) / 2) / units**0.5
        return Interval(2.0, 2 - half, 2 + half)

    return measure, asked


@pytest.mark.parametrize(
    ("half", "asked", "verdict"),
    [
        (0.5, [8], Verdict.REPRODUCED),
        (1.0, [8, 16], Verdict.REPRODUCED),
        (9.0, [8, 16, 32], Verdict.INCONCLUSIVE),
    ],
)
def test_the_first_look_that_decides_is_the_last(half, asked, verdict):
    measure, seen = measured(half)
    looks = Looks(DOCUMENTS)
    outcome = measure_in_looks(looks, GROWS, measure)
    assert (seen, outcome.verdict, outcome.units) == (asked, verdict, asked[-1])
    assert (outcome.look, outcome.looks, outcome.level) == (len(asked), 3, looks.confidence(len(asked)))
    assert f"{asked[-1]} units, look {len(asked)} of 3" in str(outcome)


@pytest.mark.parametrize(
    ("sizes", "draw", "simulations", "most"),
    [((5, 10), heavy, 300, 25), (DOCUMENTS, skewed, 50, 7)],
    ids=["seeds", "documents"],
)
def test_a_false_claim_is_rarely_decided_over_all_looks(sizes, draw, simulations, most):
    """At most 5 % to either side: as many trials come to more than `most` by chance in 1 of 100."""
    rates = of_looks(Looks(sizes), draw, truth=0.0, simulations=simulations)
    assert max(rates.reproduced, rates.not_reproduced) <= most / simulations


def test_a_clear_truth_takes_half_of_the_seeds():
    """Two standard deviations away: all of 40 trials are decided, at ten of twenty seeds or few more."""
    rates = of_looks(Looks((5, 10, 20)), normal, truth=2.0, simulations=40)
    assert rates.reproduced == 1 and rates.units <= 12


@pytest.mark.parametrize("sizes", [(), (1, 4), (8, 8), (16, 8)], ids=str)
def test_schedules_that_do_not_rise_are_refused(sizes):
    with pytest.raises(InputError, match="sizes must rise"):
        Looks(sizes)


def test_looks_are_counted_from_one():
    for look in (0, 4):
        with pytest.raises(InputError, match="counted from 1"):
            Looks(DOCUMENTS).confidence(look)


def test_what_is_spent_is_what_the_authors_say():
    """Lan & DeMets 1983 and Kim & DeMets 1987, at a quarter of the units."""
    assert obrien_fleming(0.25, 0.025) == pytest.approx(2 * (1 - stats.norm.cdf(stats.norm.ppf(1 - 0.0125) / 0.5)))
    assert quadratic(0.25, 0.025) == pytest.approx(0.025 / 16)


@SPENDINGS
def test_confidence_is_that_of_the_boundary_at_each_look(spending):
    looks = Looks(DOCUMENTS, spending, level=0.9)
    limits = boundaries((0.25, 0.5, 1.0), spending, 0.1)
    for look, limit in enumerate(limits, 1):
        assert looks.confidence(look) == pytest.approx(stats.norm.cdf(limit) - stats.norm.cdf(-limit))


def test_one_look_has_the_usual_boundary():
    assert boundaries((1.0,), obrien_fleming, 0.05) == (pytest.approx(1.959964),)


def test_a_look_that_may_spend_nothing_is_given_a_share_that_no_estimate_uses():
    def late(fraction, error):
        return error if fraction == 1 else 0.0

    first, last = boundaries((0.5, 1.0), late, 0.05)
    assert 6.5 < first < 7.5 and last == pytest.approx(1.959964, abs=1e-5)


@pytest.mark.parametrize(("level", "needed"), [(0.98, 2000), (0.995, 2000), (0.999, 10_000), (0.9998, 50_000)])
def test_as_many_resamples_are_taken_as_leave_five_beyond_each_bound(level, needed):
    assert resamples_for(level) == pytest.approx(needed, abs=1)


def test_a_level_one_digit_beyond_the_last_that_can_be_shown_is_refused():
    with pytest.raises(InputError, match="100,000 are the most"):
        resamples_for(0.99990001)


def test_schedules_are_values_that_hold_98_per_cent_and_spend_late():
    assert Looks(DOCUMENTS) == Looks(DOCUMENTS, obrien_fleming, 0.98) and hash(Looks((2,))) is not None
    assert Looks((2, 3)).confidence(1) > Looks((2, 3)).confidence(2) >= 0.98
    outcome = measure_in_looks(Looks((8,)), GROWS, measured(0.5)[0])
    for value, name in ((Looks(DOCUMENTS), "sizes"), (outcome, "units")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, 3)
    assert str(outcome).endswith("at 98.00%, 8 units, look 1 of 1")


def test_an_interval_that_ends_on_the_boundary_is_decided():
    assert decided(Interval(1.5, 1.0, 2.0), GROWS) and not decided(Interval(0.9, 0.8, 1.0), GROWS)
