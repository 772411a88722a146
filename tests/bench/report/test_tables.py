"""Numbers carry the digits that their intervals carry, and tables stay tables."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.report.tables import accepted, decimals_of, interval, measured, table
from tests.bench.report.synthetic import result


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (0.8888, 0.8572, 0.9216, "0.89 [0.86, 0.92]"),
        (1.00386, 1.00067, 1.00705, "1.004 [1.001, 1.007]"),
        (14271.3, 9748.6, 20892.4, "14,300 [9,700, 20,900]"),
        (1.2367e7, 1.517e6, 1.008e8, "1.2e7 [1.5e6, 1.0e8]"),
        (3.9e-16, 0.0, 1.33e-15, "3.9e-16 [0, 1.3e-15]"),
        (-14.18, -16.59, -11.77, "−14.2 [−16.6, −11.8]"),
        (-0.01, -5.2, 5.2, "0 [−5, 5]"),
        (2.0, 1.5, math.inf, "2.0 [1.5, ∞]"),
    ],
)
def test_digits_follow_the_interval(value, low, high, said):
    assert interval(value, low, high) == said


def test_a_half_width_of_three_hundredths_has_two_decimals():
    assert decimals_of(1.0, 1.0 - 0.034, 1.0 + 0.034) == 2


@given(st.floats(-100, 100), st.floats(0.01, 50), st.floats(0.01, 50))
@example(0.0, 0.03, 0.03)
def test_rounding_moves_no_bound_by_more_than_half_of_the_shorter_side(value, below, above):
    decimals = decimals_of(value, value - below, value + above)
    assert 0.5 * 10.0**-decimals <= min(below, above) * (1 + 1e-9)


def test_a_bound_is_not_rounded_onto_the_end_of_its_region():
    assert measured(result(value=0.95, low=0.9, high=0.9999, accept_low=1.0)).endswith("0.9999]")


@pytest.mark.parametrize(
    ("value", "said"),
    [(92.983392, "92.9834"), (0, "0"), (8, "8"), (120569952, "120,569,952"), (2.22e-16, "2.2e-16"), (-3, "−3")],
)
def test_an_exact_value_is_one_number(value, said):
    assert measured(result(value=value, low=value, high=value)) == said


def test_an_open_end_is_infinite():
    assert measured(result(high=None)).endswith(", ∞]")


def test_what_was_not_run_has_no_number():
    assert measured(result(value=None, low=None, high=None)) == "–"


@pytest.mark.parametrize(
    ("low", "high", "said"), [(0.8, 1.25, "0.8 to 1.25"), (1, None, "≥ 1"), (None, 1e-6, "≤ 1e-6"), (None, None, "–")]
)
def test_regions_are_said_in_words(low, high, said):
    assert accepted(result(accept_low=low, accept_high=high)) == said


def test_pipes_do_not_end_a_cell():
    assert table([["KL(p|q)", "a|b"]], ["x", "y"]).splitlines()[-1] == "| KL(p\\|q) | a\\|b |"
