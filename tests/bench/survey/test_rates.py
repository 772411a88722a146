"""The largest rate at which quality is kept, and the bounds that perplexities' intervals give it."""

from bench.survey.rates import largest_rate
from bench.verdict.documents import Interval

SURE, LIKELY, UNLIKELY, LOST = (
    Interval(1.01, 1.0, 1.02),
    Interval(1.04, 1.0, 1.08),
    Interval(1.06, 1.03, 1.09),
    Interval(2.0, 1.8, 2.2),
)


def test_each_bound_is_of_the_rates_that_are_kept_by_its_own_measure():
    assert largest_rate({4: SURE, 6: LIKELY, 8: UNLIKELY, 40: LOST}) == Interval(6, 4, 8)


def test_a_small_rate_that_is_lost_takes_nothing_from_a_larger_that_is_kept():
    assert largest_rate({3: LOST, 5: SURE}) == Interval(5, 5, 5)


def test_where_none_is_kept_the_dense_model_is():
    assert largest_rate({5: LOST, 9: LOST}) == Interval(1, 1, 1)
