"""Rates of each kind of model by itself: where the search ends, and that the protocol's are what they were."""

from dataclasses import replace

import numpy as np
import pytest

from bench.small_models.rates import SHIFT, START, STEPS, OwnRates, climbed
from bench.small_models.settings import FIRST
from bench.small_models.tables import TEST
from bench.small_models.variants import Variant


def test_a_search_ends_on_the_top_that_moves_reach():
    def height(place):
        return -((place[0] + 2) ** 2) - (place[1] - 1) ** 2

    assert climbed((0, 0), height, 3) == (-2, 1)
    assert climbed((0, 0), height, 1) == (-1, 0)
    assert climbed((0, 0), height, 0) == (0, 0)


def test_ties_stay():
    assert climbed((3, -1), lambda _place: 1.0, 5) == (3, -1)


def test_what_is_not_a_number_is_left_alone_and_never_chosen():
    assert climbed((0, 0), lambda place: np.nan if place != (0, 0) else 1.0, 3) == (0, 0)


def test_models_at_the_protocols_rates_are_the_protocols_own(small, monkeypatch):
    own, variant = OwnRates(small), Variant("mini")
    monkeypatch.setattr(own, "place", lambda _variant: (0, 0))
    later = small.measure(variant, range(FIRST + SHIFT, FIRST + SHIFT + 2))
    assert own.runs(variant, 2)[TEST] == pytest.approx(100 * later[TEST])


def test_both_rates_are_multiples_of_the_protocols(small):
    own, variant = OwnRates(small, moves=0), Variant("mini")
    tuned = own.tuned_at(START[1])
    expected = STEPS[0] ** START[0] * small.settings.pretraining.learning_rate
    assert tuned.trainer.schedule(replace(variant, rate_factor=STEPS[0] ** START[0])).learning_rate == expected
    assert tuned.trainer.settings.tuning.learning_rate == STEPS[1] ** START[1] * small.settings.tuning.learning_rate
    assert own.described({"mini": variant}, 2)["variants"]["mini"]["lesson"] == "rates × 0.33 and 2"
    assert tuned.settings == small.settings, "the record compares them with the protocol's"
