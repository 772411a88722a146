"""Intervals that hold their level, and statistics that say what they are called."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.verdict.documents import (
    Interval,
    cluster_interval,
    difference_ratio,
    growth,
    level_ratio,
    log_growth,
    mean,
    ratio,
    relative_variance_ratio,
    variance_ratio,
)


def curves(n=20, seed=0, contexts=3):
    return np.random.default_rng(seed).lognormal(0, 0.5, (n, contexts))


def test_the_mean_of_few_documents_has_students_interval():
    values = np.array([1.0, 2.0, 4.0, 7.0])
    interval = mean(values)
    margin = 3.182446 * values.std(ddof=1) / 2  # t(0.975, 3)
    assert interval.value == values.mean()
    assert interval.low == pytest.approx(values.mean() - margin, rel=1e-6)
    assert interval.high == pytest.approx(values.mean() + margin, rel=1e-6)


def test_the_jackknife_error_of_a_ratio_is_that_of_a_slow_transcription():
    from bench.verdict.documents import _with_error

    data = curves(9)
    value, error = _with_error(data, np.ones((1, 9)), log_growth)
    left_out = [np.log(np.delete(data, i, 0).mean(0)[-1] / np.delete(data, i, 0).mean(0)[0]) for i in range(9)]
    slow = np.sqrt(8 / 9 * ((np.array(left_out) - np.mean(left_out)) ** 2).sum())
    assert value[0] == pytest.approx(np.log(data.mean(0)[-1] / data.mean(0)[0]), rel=1e-12)
    assert error[0] == pytest.approx(slow, rel=1e-9)


def test_a_document_drawn_twice_counts_as_two():
    from bench.verdict.documents import _with_error

    data = curves(5)
    counts = np.array([[2.0, 0, 1, 1, 1]])
    repeated = data[[0, 0, 2, 3, 4]]
    by_counts, by_hand = _with_error(data, counts, log_growth), _with_error(repeated, np.ones((1, 5)), log_growth)
    np.testing.assert_allclose(by_counts, by_hand, rtol=1e-9)


@pytest.mark.parametrize("documents", [6, 24])
def test_intervals_cover_the_truth_about_as_often_as_they_say(documents):
    """Of 400 intervals at 95 %, between 359 and 392 cover with probability 0.999 even if coverage were 93 %."""
    rng = np.random.default_rng(5)
    covered = 0
    for seed in range(400):
        data = np.exp(rng.normal(0, 0.4, (documents, 1)) + rng.normal(0, 0.2, (documents, 2)))
        interval = growth(data, seed=seed, resamples=400)
        covered += interval.low <= 1.0 <= interval.high
    assert 355 <= covered <= 395


def test_scaling_a_curve_scales_no_growth():
    data = curves()
    first, second = growth(data), growth(data * 7.5)
    np.testing.assert_allclose([first.value, first.low, first.high], [second.value, second.low, second.high], rtol=1e-9)


def test_the_order_of_documents_is_nothing_to_the_estimate():
    data = curves()
    assert growth(data).value == pytest.approx(growth(data[::-1]).value, rel=1e-12)


@given(st.integers(2, 40), st.integers(0, 2**31))
def test_the_estimate_belongs_to_its_interval(documents, seed):
    interval = growth(np.random.default_rng(seed).lognormal(0, 2, (documents, 2)), resamples=200)
    assert interval.low <= interval.value <= interval.high


def test_documents_that_agree_leave_no_doubt():
    same = np.tile([1.0, 2.0], (16, 1))
    assert growth(same) == Interval(2.0, 2.0, 2.0)


def test_one_document_has_no_interval():
    with pytest.raises(ValueError, match="at least 2"):
        mean(np.array([1.0]))


@pytest.mark.parametrize("bad", [np.nan, 0.0])
def test_a_curve_that_is_not_finite_is_an_error_and_no_verdict(bad):
    data = curves(8)
    data[:, 0] = bad
    with pytest.raises(ValueError, match="must be finite"):
        growth(data)


def test_statistics_by_hand():
    first = np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]])
    second = np.array([[1.0, 1.5, 2.0], [1.0, 1.5, 2.0]])
    assert growth(first).value == pytest.approx(2.0)
    assert level_ratio(first, second).value == pytest.approx(2.0)
    assert variance_ratio(first, second).value == pytest.approx(1.0 / 0.25)
    assert relative_variance_ratio(first, second).value == pytest.approx(1.0 / 9 / (0.25 / 2.25))
    assert relative_variance_ratio(first * 5, second).value == pytest.approx(1.0)
    assert ratio(first[:, 0], second[:, 0]).value == pytest.approx(2.0)
    assert difference_ratio(first[:, 0], second[:, 0]).value == pytest.approx(np.e)


def test_the_same_seed_gives_the_same_interval():
    assert growth(curves(), seed=3) == growth(curves(), seed=3)
    assert growth(curves(), seed=3) != growth(curves(), seed=4)


def test_an_interval_with_nan_cannot_be_made():
    with pytest.raises(ValueError, match="no interval"):
        Interval(1.0, float("nan"), 2.0)


STATISTICS = [variance_ratio, relative_variance_ratio, level_ratio]
OF_ONE_NUMBER = [ratio, difference_ratio]


@pytest.mark.parametrize("statistic", STATISTICS + OF_ONE_NUMBER, ids=lambda statistic: statistic.__name__)
def test_a_ratio_turned_round_is_its_inverse(statistic):
    first, second = curves(8, 1), curves(8, 2)
    if statistic in OF_ONE_NUMBER:
        first, second = first[:, 0], second[:, 0]
    forward, back = statistic(first, second), statistic(second, first)
    assert forward.value * back.value == pytest.approx(1)
    assert (forward.low * back.high, forward.high * back.low) == (pytest.approx(1), pytest.approx(1))


@pytest.mark.parametrize(
    "statistic", [*STATISTICS, *OF_ONE_NUMBER, growth, mean], ids=lambda statistic: statistic.__name__
)
def test_a_seed_that_is_not_told_is_0(statistic):
    """Rows on record were resampled with it."""
    data = [curves(14, 1), curves(14, 2)]
    data = [part[:, 0] for part in data] if statistic in (*OF_ONE_NUMBER, mean) else data
    data = data[:1] if statistic in (growth, mean) else data
    assert statistic(*data) == statistic(*data, seed=0, resamples=2000) != statistic(*data, seed=1)


def test_two_contexts_have_a_variance():
    """Half their squared distance, so its ratio is that of the distances, squared."""
    first, second = np.array([[1.0, 4.0], [2.0, 5.0]]), np.array([[1.0, 2.0], [2.0, 4.0]])
    assert variance_ratio(first, second).value == pytest.approx(3**2 / 1.5**2)
    assert relative_variance_ratio(first, second).value == pytest.approx(3**2 / 1.5**2 * (2.25 / 3) ** 2)


def test_from_12_documents_on_those_that_agree_leave_no_doubt_either():
    for documents in (11, 12, 16):
        assert mean(np.full(documents, 3.0)) == Interval(3.0, 3.0, 3.0)


@pytest.mark.parametrize("flat", ["first", "second"])
def test_an_estimate_beyond_all_resamples_belongs_to_its_interval(flat):
    """The mean of a curve's noise varies less than that of any resample, so both quantiles lie on one side."""
    noise = np.random.default_rng(0).normal(0, 0.1, (20, 4))
    still = 1 + noise - noise.mean(0) + 1e-3 * np.arange(4)
    rising = 1 + np.arange(4) + np.random.default_rng(1).normal(0, 0.1, (20, 4))
    pair = (still, rising) if flat == "first" else (rising, still)
    interval = variance_ratio(*pair)
    assert interval.low < interval.high and interval.value == (interval.high if flat == "first" else interval.low)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("documents", [2, 5, 11])
def test_few_documents_have_students_interval_at_any_level(documents, level):
    values = curves(documents)[:, 0]
    interval = cluster_interval(values[:, None], lambda means: means[..., 0], level=level)
    expected = stats.ttest_1samp(values, 0).confidence_interval(level)
    assert (interval.low, interval.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


@pytest.mark.parametrize("documents", [12, 30])
def test_the_bootstrap_is_a_slow_transcription(documents):
    """Quantiles of each resample's deviation over its own error, turned round, times the sample's error."""
    values = curves(documents)[:, 0]
    counts = np.random.default_rng(7).multinomial(documents, np.full(documents, 1 / documents), size=300)
    error = values.std(ddof=1) / documents**0.5
    deviations = []
    for count in counts:
        drawn = np.repeat(values, count)
        deviations.append((drawn.mean() - values.mean()) / (drawn.std(ddof=1) / documents**0.5))
    low, high = np.quantile(deviations, [0.05, 0.95])
    found = cluster_interval(values[:, None], lambda means: means[..., 0], seed=7, resamples=300, level=0.9)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - high * error)
    assert found.high == pytest.approx(values.mean() - low * error)


def test_an_interval_is_mapped_printed_and_never_changed():
    interval = Interval(1.0, 0.5, 2.0)
    assert interval.map(lambda x: 2 * x) == Interval(2.0, 1.0, 4.0) and str(interval) == "1 [0.5, 2]"
    with pytest.raises(FrozenInstanceError):
        interval.low = 0.0
    for bounds in ((1.0, 1.1, 2.0), (1.0, 0.5, 0.9)):
        with pytest.raises(ValueError, match="no interval"):
            Interval(*bounds)
