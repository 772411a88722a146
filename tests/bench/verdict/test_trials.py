"""Units of the trials are what they are said to be."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from scipy import stats

from bench.verdict.documents import cluster_interval
from bench.verdict.looks import Looks
from bench.verdict.regions import Verdict
from bench.verdict.trials import (
    _lognormal,
    _of_first,
    _rates,
    heavy,
    normal,
    of_crossed,
    of_looks,
    paired,
    skewed,
)


@pytest.mark.parametrize("draw", [normal, heavy, paired, skewed], ids=lambda draw: draw.__name__)
def test_units_have_mean_zero_and_variance_one(draw):
    """The variance of heavy units converges slowly: its mean over a million is within a quarter."""
    units = draw(np.random.default_rng(0), (1_000_000,))
    assert units.mean() == pytest.approx(0, abs=0.005)
    assert units.var() == pytest.approx(1, rel=0.25)


@pytest.mark.parametrize(("draw", "skewness"), [(normal, 0.0), (heavy, 0.0), (skewed, 6.2)], ids=["n", "h", "s"])
def test_units_are_as_skewed_as_they_are_called(draw, skewness):
    """The skewness of lognormal (1) is (e + 2) √(e - 1); its sample's converges slowly from below."""
    units = draw(np.random.default_rng(0), (2_000_000,))
    bulk = units[np.abs(units) < 50]
    assert stats.skew(bulk) == pytest.approx(skewness, rel=0.25, abs=0.5)
    assert (stats.kurtosis(bulk) > 1) == (draw is not normal)


def test_lognormal_units_are_lognormal_once_shifted_and_scaled():
    units = _lognormal(np.random.default_rng(0), (200_000,), 0.7)
    spread = (np.exp(0.49) * np.expm1(0.49)) ** 0.5
    logs = np.log(units * spread + np.exp(0.245))
    assert (logs.mean(), logs.std()) == (pytest.approx(0, abs=0.01), pytest.approx(0.7, abs=0.01))


def test_pairs_are_of_unlike_spread():
    """First minus 0.7 of a second with 0.7 of its ln spread: skewed to the right, less than one alone."""
    rng = np.random.default_rng(1)
    first, second = (_lognormal(rng, (1000,), sigma) for sigma in (1.0, 0.7))
    expected = (first - 0.7 * second) / 1.49**0.5
    np.testing.assert_allclose(paired(np.random.default_rng(1), (1000,)), expected)


@pytest.mark.parametrize(("truth", "rates"), [(9.0, (1, 0)), (-9.0, (0, 1))])
def test_what_is_plain_is_seen_every_time(truth, rates):
    looks = of_looks(Looks((4, 8)), normal, truth, simulations=5)
    assert (looks.reproduced, looks.not_reproduced, looks.units) == (*rates, 4)
    crossed = of_crossed((4, 3), (0.5, 0.5), normal, truth, simulations=5)
    assert (crossed.reproduced, crossed.not_reproduced, crossed.units) == (*rates, 12)


def test_rates_are_shares_and_the_rest_is_covered():
    V = Verdict
    rates = _rates([V.REPRODUCED, V.INCONCLUSIVE, V.NOT_REPRODUCED, V.REPRODUCED], 7.0)
    assert (rates.reproduced, rates.not_reproduced, rates.covered, rates.units) == (0.5, 0.25, 0.25, 7.0)
    with pytest.raises(FrozenInstanceError):
        rates.units = 1.0


def test_the_seed_of_trials_is_0_unless_it_is_told():
    looks, crossed = Looks((4, 8)), ((5, 3), (0.5, 0.5), normal, 0.4)
    assert of_looks(looks, normal, 0.4, simulations=30) == of_looks(looks, normal, 0.4, simulations=30, seed=0)
    usual = of_crossed(*crossed, simulations=30)
    assert usual == of_crossed(*crossed, interaction=0.3, simulations=30, resamples=2000, seed=0)
    assert usual != of_crossed(*crossed, simulations=30, seed=1)


def test_a_factor_that_varies_more_takes_more_to_decide():
    narrow, wide = (of_crossed((8, 3), (0.1, spread), normal, 1.0, simulations=40) for spread in (0.1, 2.0))
    assert narrow.reproduced > 0.9 and wide.reproduced < 0.5


@pytest.mark.parametrize("count", [5, 12, 20])
def test_the_first_units_are_those_that_a_look_sees(count):
    units = np.random.default_rng(0).normal(size=(20, 1))
    expected = cluster_interval(units[:count], lambda means: means[..., 0], seed=3, resamples=2000, level=0.99)
    assert _of_first(units, 3, count, 0.99) == expected
