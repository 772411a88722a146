"""Statistics along a training, against trainings whose course is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.krony.trend import AHEAD, FLAT, ahead, between, fall, is_flat, now, unsteadiness, until_flat
from bench.verdict.documents import Interval

TOKENS = 1000.0 * np.array([1 / 8, 1 / 4, 1 / 2, 1])
ALONG = np.linspace(10, 1000, 200)


def gaps(course, seed=0, spread=0.01, seeds=3, documents=16):
    """Differences that follow a course, with seeds and documents that have offsets of their own."""
    rng = np.random.default_rng(seed)
    offsets = rng.normal(0, spread, (1, seeds, 1)) + rng.normal(0, spread, (1, 1, documents))
    return np.asarray(course)[:, None, None] + offsets


@given(st.floats(-0.3, 0.3), st.floats(-0.1, 0.1))
def test_a_line_is_drawn_out_exactly(end, slope):
    course = end + slope * np.log2(TOKENS / TOKENS[-1])
    led = ahead(TOKENS, gaps(course, spread=0))
    assert led.value == pytest.approx(end + AHEAD * slope, abs=1e-12)
    assert led.high - led.low < 1e-9


@given(st.floats(0.0, 0.3), st.floats(0.05, 0.3))
def test_what_levels_off_ends_between_now_and_ahead(limit, above):
    """A difference that halves every doubling: the limit lies inside whatever the doublings so far."""
    course = limit + above * 2.0 ** -np.arange(len(TOKENS))
    values = gaps(course, spread=0)
    whole = between(now(values), ahead(TOKENS, values))
    assert whole.low <= limit <= whole.value <= whole.high


def test_a_curve_that_is_no_line_is_uncertain_ahead():
    straight, curved = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.4, 0.2, 0.1, 0.1])
    widths = [ahead(TOKENS, gaps(course)).high - ahead(TOKENS, gaps(course)).low for course in (straight, curved)]
    assert widths[1] > 2 * widths[0]


def test_seeds_and_documents_widen_what_is_measured_now():
    near, far = (now(gaps(np.zeros(4), spread=spread)) for spread in (0.01, 0.1))
    assert far.high - far.low == pytest.approx(10 * (near.high - near.low))


def test_an_interval_of_two_holds_both_and_keeps_the_first_value():
    assert between(Interval(2, 1, 3), Interval(5, 4, 6)) == Interval(2, 1, 6)


@pytest.mark.parametrize(("share", "flat"), [(0.005, True), (0.02, False)])
def test_a_fall_is_a_share_of_the_loss_over_a_doubling(share, flat):
    losses = 3.5 * (1 - share) ** np.log2(ALONG / 10) * np.ones((3, 1)) + np.array([[0.0], [1e-5], [-1e-5]])
    falling = fall(ALONG, losses)
    assert falling.value == pytest.approx(-np.log(1 - share), rel=1e-3)
    assert is_flat(falling) == flat == (share < FLAT)


def test_seeds_that_disagree_are_not_flat():
    slopes = np.array([[0.0], [0.0], [0.02]])
    assert not is_flat(fall(ALONG, 3.5 * np.exp(-slopes * np.log2(ALONG))))


def test_unsteadiness_ignores_slope_and_the_first_half():
    noise = np.random.default_rng(0).normal(0, 0.1, len(ALONG))
    late = ALONG >= ALONG[-1] / 2
    steady = unsteadiness(ALONG, noise)
    assert unsteadiness(ALONG, noise - 0.01 * ALONG + 5) == pytest.approx(steady, rel=1e-9)
    assert unsteadiness(ALONG, np.where(late, noise, 100.0)) == pytest.approx(steady, rel=1e-9)
    assert unsteadiness(ALONG, 2 * noise) == pytest.approx(2 * steady, rel=1e-9)


@given(st.floats(0.02, 0.1), st.floats(0.3, 0.9))
def test_a_fall_that_shrinks_by_the_same_share_is_followed_until_it_is_flat(last, share):
    """The last doubling falls by `last`, the one before by that over `share`; each doubling is a line."""
    places = np.log2(ALONG / ALONG[-1])
    slopes = np.where(places >= -1, last, last / share)
    losses = np.exp(-np.where(places >= -1, slopes * places, -last + slopes * (places + 1)))[None]
    doublings = until_flat(ALONG, losses)
    assert last * share**doublings == pytest.approx(FLAT, rel=0.1)


@pytest.mark.parametrize(("course", "expected"), [("flat", 0.0), ("steady", np.inf)])
def test_what_is_flat_waits_for_nothing_and_what_does_not_slow_down_is_never(course, expected):
    share = {"flat": 0.5 * FLAT, "steady": 3 * FLAT}[course]
    losses = np.exp(-share * np.log2(ALONG) - (course == "steady") * 1e-3 * np.log2(ALONG) ** 2)[None]
    assert until_flat(ALONG, losses) == expected
