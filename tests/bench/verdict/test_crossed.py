"""Intervals over several factors: their algebra, and how often they hold the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.verdict.crossed import combined, crossed_interval, intervals_by_factor, weighted_interval
from bench.verdict.documents import Interval, cluster_interval, crossed_ratio, log_growth, log_ratio
from bench.verdict.trials import heavy, of_crossed, paired
from models.errors import InputError


def mean(means):
    return means[..., 0]


def design(*shape, seed=0):
    return np.random.default_rng(seed).lognormal(0, 0.4, shape)


def close(first, second):
    np.testing.assert_allclose(
        [first.value, first.low, first.high], [second.value, second.low, second.high], rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("documents", [5, 14])
def test_one_factor_has_the_engines_interval_to_the_last_bit(documents):
    curves = design(documents, 3)
    own = crossed_interval(curves, log_growth, factors=1, resamples=300)
    alone = cluster_interval(curves, log_growth, resamples=300)
    assert (own.value, own.low, own.high) == (alone.value, alone.low, alone.high)
    assert [each.interval for each in own.factors] == [alone]


@given(st.integers(2, 6), st.integers(2, 9), st.integers(0, 1000))
def test_a_mean_over_few_levels_has_the_interval_of_crossed_ratio(seeds, documents, seed):
    first, second = np.random.default_rng(seed).normal(size=(2, seeds, documents))
    close(crossed_interval(first - second, mean).map(np.exp), crossed_ratio(first, second))


def test_distances_from_the_estimate_add_as_squares_on_either_side():
    close(combined([Interval(1.0, -2.0, 5.0), Interval(1.0, -3.0, 4.0)]), Interval(1.0, -4.0, 6.0))


@pytest.mark.parametrize("shape", [(8, 3, 2), (8, 3, 4, 2), (14, 5, 2)])
def test_weights_of_a_mean_say_what_means_say(shape):
    values, factors = design(*shape), len(shape) - 1
    letters = "ijk"[:factors]

    def weighted(*weights):
        subscripts = ",".join(f"...{letter}" for letter in letters)
        return log_ratio(np.einsum(f"{subscripts},{letters}c->...c", *weights, values, optimize=True))

    by_means = crossed_interval(values, log_ratio, factors=factors, resamples=200)
    close(weighted_interval(shape[:-1], weighted, resamples=200), by_means)


def test_the_order_of_factors_is_nothing_to_the_interval():
    values = design(8, 3, 4, 2)
    turned = crossed_interval(values.transpose(2, 0, 1, 3), log_ratio, factors=3)
    close(crossed_interval(values, log_ratio, factors=3), turned)


def test_a_factor_of_one_level_is_held_fixed():
    values = design(8, 1, 2)
    assert crossed_interval(values, log_ratio) == crossed_interval(values[:, 0], log_ratio, factors=1)


def test_the_factor_with_the_widest_interval_is_the_one_that_varies_most():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.1, (8, 1)) + rng.normal(0, 1, (1, 5))
    parts = intervals_by_factor(values, mean)
    assert parts[1].high - parts[1].low > 3 * (parts[0].high - parts[0].low)


def test_a_ratio_of_spreads_over_seeds_that_share_documents_is_held():
    """Two arms of 6 seeds on 8 documents, spreads 3 to 1: of 200 intervals at 95 %, fewer than 180 hold by 0.2 %."""
    rng, held = np.random.default_rng(2), 0
    for _ in range(200):
        documents = rng.normal(size=(8, 1))
        first, second = documents + 3 * rng.normal(size=6), documents + rng.normal(size=6)

        def spreads(of_documents, of_first, of_second, first=first, second=second):
            ways = ((of_first, first), (of_second, second))
            means = [(weights, np.einsum("...i,ij->...j", of_documents, values)) for weights, values in ways]
            logs = [np.log((w * m**2).sum(-1) - (w * m).sum(-1) ** 2) / 2 for w, m in means]
            return logs[0] - logs[1]

        interval = weighted_interval((8, 6, 6), spreads)
        held += interval.low <= np.log(3) <= interval.high
    assert held >= 180


@pytest.mark.parametrize("draw", [heavy, paired], ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("spreads", [(1.0, 1.0), (0.3, 1.0), (1.0, 0.3)], ids=str)
def test_a_false_claim_is_rarely_reproduced_with_three_samples(draw, spreads):
    """At most 5 % on either side: of 600 trials at 5 %, more than 43 come by chance in 1 of 100."""
    rates = of_crossed((8, 3), spreads, draw, truth=0.0, simulations=600)
    assert max(rates.reproduced, rates.not_reproduced) <= 43 / 600


@pytest.mark.parametrize(("sizes", "spreads"), [((16, 3), (1.0, 0.5)), ((8, 3, 3), (1.0, 0.5, 0.5))], ids=str)
def test_coverage_is_nominal_or_more(sizes, spreads):
    """At least 95 %: of 300 trials, fewer than 276 come by chance in 1 of 100."""
    assert of_crossed(sizes, spreads, heavy, truth=0.0, simulations=300, resamples=400).covered >= 276 / 300


@pytest.mark.parametrize(("samples", "errors", "power"), [(5, 4, 0.87), (3, 6, 0.88)])
def test_the_power_is_what_is_stated(samples, errors, power):
    """Truths so many standard errors away, with five samples or three; 200 trials within three binomial errors, 7 %."""
    truth = errors * (0.5**2 / 8 + 0.5**2 / samples + 0.3**2 / 8 / samples) ** 0.5
    rates = of_crossed((8, samples), (0.5, 0.5), heavy, truth=truth, simulations=200)
    assert rates.reproduced == pytest.approx(power, abs=0.07)


def test_percentiles_of_the_pigeonhole_bootstrap_are_short_with_three_levels():
    """Why it is not used (Owen 2007): three levels drawn again are too alike. 95 % intervals hold less than 85 %."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        values = rng.normal(0, 0.3, (8, 1)) + rng.normal(0, 1, (1, 3))
        weights = [rng.multinomial(n, np.full(n, 1 / n), 400) / n for n in values.shape]
        low, high = np.quantile(((weights[0] @ values) * weights[1]).sum(1), [0.025, 0.975])
        held += low <= 0 <= high
    assert held < 255


def test_refusals():
    with pytest.raises(InputError, match=r"\(1, 1\) levels"):
        crossed_interval(np.ones((1, 1)), mean)
    with pytest.raises(InputError, match="as many leading axes"):
        crossed_interval(np.ones(4), mean)
    with pytest.raises(InputError, match="diverged"):
        crossed_interval(np.array([[1.0, np.nan], [1.0, 2.0]]), mean)
    with pytest.raises(InputError, match="must be finite"):
        crossed_interval(np.zeros((3, 3, 2)), log_ratio)


@pytest.mark.parametrize("shape", [(13, 14, 2), (13, 3, 2)])
def test_every_factor_is_resampled_with_a_seed_of_its_own(shape):
    values = design(*shape)
    parts = intervals_by_factor(values, log_ratio, seed=5, resamples=300, level=0.9)
    for axis in (0, 1):
        means = values.mean(1 - axis)
        expected = cluster_interval(means, log_ratio, seed=5 + axis, resamples=300, level=0.9)
        assert parts[axis] == expected
    usual = {"factors": 2, "seed": 0, "resamples": 2000, "level": 0.95}
    assert crossed_interval(values, log_ratio) == crossed_interval(values, log_ratio, **usual)
    assert intervals_by_factor(values, log_ratio) == intervals_by_factor(values, log_ratio, **usual)


def test_weights_have_the_same_defaults():
    values = design(13, 3)

    def spread(first, second):
        means = np.einsum("...i,...j,ij->...", first, second, values)
        return np.log(means)

    usual = {"seed": 0, "resamples": 2000, "level": 0.95}
    assert weighted_interval((13, 3), spread) == weighted_interval((13, 3), spread, **usual)
    assert weighted_interval((13, 3), spread, level=0.8).high < weighted_interval((13, 3), spread).high
    assert weighted_interval((1, 3), lambda first, second: np.log(second @ np.arange(1, 4))).value == pytest.approx(
        np.log(2)
    )
    with pytest.raises(InputError, match=r"\(1, 1\) levels"):
        weighted_interval((1, 1), spread)


def test_a_plain_number_may_be_given_an_axis_or_not():
    values = design(6, 4)
    close(crossed_interval(values, mean), crossed_interval(values[..., None], mean))


def test_one_source_alone_keeps_its_own_interval():
    own = Interval(1.0, 0.1, 1.3)
    assert combined([own]) is own
