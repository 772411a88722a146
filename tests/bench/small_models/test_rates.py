"""Rates of each kind of model by itself: which are chosen, and that the protocol's are what they were."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import bench.small_models.rates as of_rates
from bench.small_models.lab import SmallModels
from bench.small_models.rates import (
    BEST,
    FIRST_SEEDS,
    MORE_SEEDS,
    SHIFT,
    TRIED,
    OwnBaseline,
    OwnRates,
    no_more_than_rates_give,
    settle_at_own_rates,
)
from bench.small_models.rows import BASELINE, ahead, networks, of_difference
from bench.small_models.settings import FIRST
from bench.small_models.tables import TEST
from bench.small_models.variants import Distilled, Variant
from models.t5 import FeedForward


def test_rates_are_those_of_the_most_held_out_examples_and_the_first_of_ties(small, monkeypatch):
    right = dict.fromkeys(TRIED, 10.0) | {TRIED[5]: 30.0, TRIED[6]: 30.0}

    def held_out(self, variant, seeds):
        (tuning,) = (factor for factor, lab in own._tuned_at.items() if lab is self)
        return np.full(len(seeds), right[variant.rate_factor, tuning])

    own = OwnRates(small)
    monkeypatch.setattr(SmallModels, "held_out", held_out)
    assert own.rates(Variant("mini")) == TRIED[5]


def test_rates_at_which_further_seeds_fail_are_not_taken(small, monkeypatch):
    tried = []

    def held_out(self, variant, seeds):
        (tuning,) = (factor for factor, lab in own._tuned_at.items() if lab is self)
        rates = (variant.rate_factor, tuning)
        tried.append((rates, len(seeds)))
        lucky = rates == TRIED[1] and len(seeds) == FIRST_SEEDS
        return np.full(len(seeds), 40.0 if lucky else 35.0 if rates == TRIED[5] else 10.0)

    own = OwnRates(small)
    monkeypatch.setattr(SmallModels, "held_out", held_out)
    assert own.rates(Variant("mini")) == TRIED[5]
    assert len({rates for rates, seeds in tried if seeds == MORE_SEEDS}) == BEST


@pytest.mark.parametrize(("rates", "said"), [(TRIED[3], True), (TRIED[5], True), (TRIED[2], False)])
def test_what_is_behind_and_best_at_an_end_asks_for_more_rates(small, monkeypatch, rates, said):
    own = OwnRates(small)
    behind, ahead = Variant("mini"), Variant("tiny")
    monkeypatch.setattr(own, "rates", {behind: rates, ahead: TRIED[3]}.__getitem__)
    monkeypatch.setattr(own, "accuracy", lambda variant, seeds: np.full(seeds, 30.0 + 10 * (variant == ahead)))
    assert ("behind is behind" in own.untried({"behind": behind, "ahead": ahead}, 2)) is said


def test_models_at_the_protocols_rates_are_the_protocols_own(small, monkeypatch):
    own, variant = OwnRates(small), Variant("mini")
    monkeypatch.setattr(own, "rates", lambda _variant: (1.0, 1.0))
    later = small.measure(variant, range(FIRST + SHIFT, FIRST + SHIFT + 2))
    assert own.runs(variant, 2)[TEST] == pytest.approx(100 * later[TEST])


def test_both_rates_are_multiples_of_the_protocols(small):
    own, variant = OwnRates(small, TRIED[5:6]), Variant("mini")
    pretraining, tuning = TRIED[5]
    tuned, protocol = own.tuned_at(tuning), small.settings
    expected = pretraining * protocol.pretraining.learning_rate
    assert tuned.trainer.schedule(replace(variant, rate_factor=pretraining)).learning_rate == expected
    assert tuned.trainer.settings.tuning.learning_rate == tuning * protocol.tuning.learning_rate
    assert own.described({"mini": variant}, 2)["variants"]["mini"]["lesson"] == "rates × 0.037 and 0.25"
    assert tuned.settings == small.settings, "the record compares them with the protocol's"


def test_beside_a_baseline_at_its_own_rates_students_are_the_protocols(small, monkeypatch):
    student, baseline = Variant("mini", distilled=Distilled("small", 0.5, 2.0)), Variant("mini")
    monkeypatch.setattr(SmallModels, "runs", lambda self, variant, seeds: {TEST: (self, variant, seeds)})
    monkeypatch.setattr(OwnRates, "runs", lambda self, variant, seeds: {TEST: ("own rates", variant, seeds)})
    own = OwnBaseline(small)
    assert own.runs(student, 5)[TEST] == (small, student, 5) and own.rates(student) == (1.0, 1.0)
    assert own.runs(baseline, 5)[TEST] == ("own rates", baseline, 5)


def test_rows_at_own_rates_stand_on_variants_as_declared(small, monkeypatch):
    taken = {}
    monkeypatch.setattr(of_rates, "settle", lambda _conclude, own, _row, given, _of, **_how: taken.update({own: given}))
    monkeypatch.setattr(of_rates, "doubt", lambda _small, variants: taken.update(resolved=variants) or "")
    chain = networks(FeedForward(2))
    row = ahead("SL5b", "chain", ("2W", chain), ("baseline", BASELINE))
    settle_at_own_rates(None, small, row, of_difference)
    (own,) = (each for each in taken if isinstance(each, OwnRates))
    assert taken[own] == {"2W": chain, "baseline": BASELINE}, "settle puts the protocol's sizes in, once"
    assert taken["resolved"] == [small.resolved(chain), BASELINE]


@pytest.mark.parametrize(("baseline", "said"), [(30.0, ""), (40.0, "needed > 0"), (48.0, "needed > 0")])
def test_a_gain_must_be_more_than_better_rates_give_the_baseline(small, monkeypatch, baseline, said):
    student = Variant("mini", distilled=Distilled("small", 0.5, 2.0))
    noise = np.array([-0.1, 0.1])
    monkeypatch.setattr(OwnBaseline, "accuracy", lambda _own, v, _seeds: (40.0 if v.distilled else baseline) + noise)
    monkeypatch.setattr(
        small, "session", SimpleNamespace(settings=SimpleNamespace(scale="embedded", effort="thorough"))
    )
    row = ahead("SL11a", "gain", ("student", student), ("baseline", BASELINE))
    reason = no_more_than_rates_give(small, row)
    assert said in reason and bool(reason) == bool(said)
    monkeypatch.setattr(small.session.settings, "scale", "paper-t5")
    assert not no_more_than_rates_give(small, row), "whose rates are the paper's"
