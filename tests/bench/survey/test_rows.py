"""Runs over calibration samples against each other, and what would decide a row on them."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench.survey.rows import loss_gaps, runs_of, settle_gaps
from bench.verdict.crossed import crossed_interval
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from compress.pruning.magnitude import MagnitudePruning
from compress.pruning.wanda import WandaPruning

ROW = Row("SV3-x", "SV3a", "a ratio", Region(low=1.0))


def runs(losses):
    """Runs with the losses `[samples, documents]`."""
    return [SimpleNamespace(loss=np.asarray(loss)) for loss in losses]


def test_one_run_stands_against_every_sample_of_the_others():
    many, one = np.arange(6.0).reshape(3, 2), np.array([[0.5, 0.25]])
    np.testing.assert_array_equal(loss_gaps(runs(many), runs(one)), many - one)
    np.testing.assert_array_equal(loss_gaps(runs(one), runs(many)), one - many)
    np.testing.assert_array_equal(loss_gaps(runs(many), runs(many + 1)), -np.ones((3, 2)))


@pytest.mark.parametrize("control", [False, True])
def test_samples_are_repeated_where_a_method_calibrates_and_its_row_votes(control):
    survey = SimpleNamespace(over_samples=lambda _method: ["a", "b"], measure=lambda _method: "one")
    row = Row("SV3-x", "SV3a", "a ratio", Region(low=1.0), control=control)
    assert runs_of(survey, row, WandaPruning(0.5)) == (["one"] if control else ["a", "b"])
    assert runs_of(survey, row, MagnitudePruning(0.5)) == ["one"]


def concluded(monkeypatch, gaps):
    """Interval and advice with which a row is concluded."""
    told = []
    monkeypatch.setattr("bench.survey.rows.details_of", lambda _scored: {})
    survey = SimpleNamespace(doubt=lambda _scored: "")
    settle_gaps(
        lambda _row, interval, _by, *, decide, **_rest: told.append((interval, decide)),
        survey,
        ROW,
        gaps,
        SimpleNamespace(loss=gaps[0], method="m"),
    )
    return told[0]


@pytest.mark.parametrize(("spreads", "units"), [((1.0, 0.01), "calibration samples"), ((0.01, 1.0), "documents")])
def test_advice_is_on_what_varies_most(monkeypatch, spreads, units):
    generator = np.random.default_rng(0)
    gaps = 0.2 + spreads[0] * generator.normal(size=(3, 1)) + spreads[1] * generator.normal(size=(1, 8))
    interval, decide = concluded(monkeypatch, gaps)
    assert interval == crossed_interval(gaps, lambda means: means[..., 0]).map(np.exp)
    assert units in decide.words


def test_with_one_sample_only_documents_vary(monkeypatch):
    interval, decide = concluded(monkeypatch, np.random.default_rng(1).normal(size=(1, 8)))
    assert "documents" in decide.words and interval.low < interval.value < interval.high
