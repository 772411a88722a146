"""Power before a measurement, against textbooks and trials."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.verdict.documents import Interval
from bench.verdict.looks import Looks
from bench.verdict.power import power, power_table, spread_of, units_to_decide
from bench.verdict.regions import Region
from models.errors import InputError

POSITIVE, BAND = Region(low=0.0), Region(-0.22, 0.22)


@pytest.mark.parametrize(("units", "value"), [(4, 2.0), (8, 1.0), (32, 0.5)])
def test_power_over_one_boundary_is_that_of_the_noncentral_t(units, value):
    exact = stats.nct.sf(stats.t.ppf(0.975, units - 1), units - 1, value * units**0.5)
    assert power(value, 1.0, POSITIVE, units) == pytest.approx(exact, abs=1e-4)
    assert power(-value, 1.0, POSITIVE, units) == pytest.approx(exact, abs=1e-4)


def test_power_in_a_band_is_that_of_trials():
    """20,000 trials of 12 units: four binomial errors are 1.4 %."""
    units = np.random.default_rng(0).normal(0.05, 0.3, (20_000, 12))
    half = stats.t.ppf(0.975, 11) * units.std(axis=1, ddof=1) / 12**0.5
    inside = (units.mean(1) - half >= BAND.low) & (units.mean(1) + half <= BAND.high)
    assert power(0.05, 0.3, BAND, 12) == pytest.approx(inside.mean(), abs=0.014)


@given(st.floats(0.2, 3.0), st.floats(0.1, 2.0))
def test_the_number_found_is_the_fewest_that_suffices(value, spread):
    units = units_to_decide(value, spread, POSITIVE)
    assert units is not None and power(value, spread, POSITIVE, units) >= 0.8
    assert units == 2 or power(value, spread, POSITIVE, units - 1) < 0.8


def test_no_number_decides_at_the_boundary_or_where_other_factors_fill_the_room():
    assert units_to_decide(0.0, 1.0, POSITIVE) is None
    assert units_to_decide(0.001, 1.0, POSITIVE) is None
    assert units_to_decide(0.5, 1.0, POSITIVE, besides=0.5) is None
    assert units_to_decide(0.5, 1.0, POSITIVE, besides=0.4) > units_to_decide(0.5, 1.0, POSITIVE)


def test_the_level_of_the_last_look_takes_the_units_that_are_stated():
    assert units_to_decide(0.5, 1.0, POSITIVE) == 34
    assert units_to_decide(0.5, 1.0, POSITIVE, level=Looks((8, 16, 32)).confidence(3)) == 43


def test_without_spread_two_units_decide():
    assert units_to_decide(0.5, 0.0, POSITIVE) == 2


def test_half_the_distance_takes_four_times_the_units():
    near, far = (units_to_decide(value, 1.0, POSITIVE) for value in (0.1, 0.2))
    assert near / far == pytest.approx(4, rel=0.02)


def test_the_spread_of_an_interval_is_the_one_that_made_it():
    values = np.random.default_rng(1).normal(size=9)
    half = stats.t.ppf(0.975, 8) * values.std(ddof=1) / 3
    assert spread_of(Interval(0.0, -half, half), 9) == pytest.approx(values.std(ddof=1))


def test_a_table_of_power_rises_with_units_and_with_the_distance():
    table = power_table([0.2, 0.4], 1.0, POSITIVE, [8, 16, 32])
    for powers in table.values():
        assert list(powers.values()) == sorted(powers.values())
    assert all(table[0.4][units] > table[0.2][units] for units in (8, 16, 32))


@pytest.mark.parametrize(("spread", "units"), [(1.0, 1), (-1.0, 4), (math.nan, 4), (math.inf, 4)])
def test_what_has_no_power_is_refused(spread, units):
    with pytest.raises(InputError, match="at least 2 units and a finite spread"):
        power(1.0, spread, POSITIVE, units)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.98])
@pytest.mark.parametrize("units", [2, 9, 40])
def test_an_intervals_longer_side_tells_its_spread_at_any_level(units, level):
    half = stats.t.ppf((1 + level) / 2, units - 1) * 3.0 / units**0.5
    for interval in (Interval(0.0, -half, half / 2), Interval(0.0, -half / 3, half)):
        assert spread_of(interval, units, level=level) == pytest.approx(3.0)


@pytest.mark.parametrize("besides", [0.5, 0.6, 10.0])
def test_other_factors_that_fill_the_room_or_more_leave_no_number(besides):
    assert units_to_decide(0.5, 1.0, POSITIVE, besides=besides) is None


def test_other_factors_take_their_share_of_the_room_as_squares():
    """Half-widths of 0.4 and 0.3 add to 0.5: what is left for the units is 0.3, or their spread 5 / 3 as large."""
    assert units_to_decide(0.5, 1.0, POSITIVE, besides=0.4) == units_to_decide(0.5, 5 / 3, POSITIVE)


@pytest.mark.parametrize("most", [34, 33, 20])
def test_no_more_units_are_promised_than_there_may_be(most):
    assert units_to_decide(0.5, 1.0, POSITIVE, most=most) == (34 if most >= 34 else None)


def test_a_band_is_left_through_its_nearer_end():
    assert units_to_decide(0.1, 0.3, BAND) == units_to_decide(-0.1, 0.3, BAND)
    assert units_to_decide(0.1, 0.3, BAND) > units_to_decide(0.0, 0.3, BAND)
    assert units_to_decide(0.32, 0.3, BAND) == units_to_decide(0.1, 0.3, Region(low=0.0))


@pytest.mark.parametrize(("value", "sure"), [(0.1, 1.0), (0.0, 0.0), (-0.1, 1.0)])
def test_without_spread_all_is_decided_but_for_what_lies_on_the_boundary(value, sure):
    assert power(value, 0.0, POSITIVE, 2) == sure
