"""Rows on small models: what qualifies, and how many seeds are looked at, on accuracies that are made up."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from bench.small_models.rows import (
    BASELINE,
    UNTAUGHT,
    ahead,
    doubt,
    doubt_of_pretraining,
    settle_ahead,
    settle_steadier,
    steadier,
)
from bench.small_models.settings import PROTOCOLS
from bench.small_models.variants import Distilled, Variant
from bench.verdict.looks import Looks
from bench.verdict.seeds import difference

SETTINGS = replace(PROTOCOLS["embedded", "thorough"], looks=(5, 10), spread_looks=(5, 10, 20))
TAUGHT = Variant("mini", distilled=Distilled("small", 0.5, 2.0))
OTHER = Variant("mini", rate_factor=2.0)


class MadeUp(SimpleNamespace):
    """Accuracies as they are given: means and spreads by variant."""

    settings, floor = SETTINGS, 5.0
    session = SimpleNamespace(settings=SimpleNamespace(scale="embedded"))

    def accuracy(self, variant, seeds):
        self.most = max(getattr(self, "most", 0), seeds)
        mean, spread = self.given.get(variant, self.given[Variant(variant.size)])
        offset = sum(map(ord, repr(variant)))
        return mean + spread * np.random.default_rng(offset).standard_normal(40)[:seeds]

    def teacher_accuracy(self, _size):
        return self.teacher

    def resolved(self, variant):
        return variant

    def described(self, variants, seeds):
        return {"variants": {name: {"accuracy": self.accuracy(v, seeds).tolist()} for name, v in variants.items()}}


def made_up(mini=(40.0, 0.5), tiny=(30.0, 0.5), teacher=50.0, **others):
    given = {Variant("mini"): mini, Variant("tiny"): tiny, **others.pop("given", {})}
    return MadeUp(given=given, teacher=teacher)


@pytest.fixture
def concluded():
    """What a row is concluded with."""
    kept = {}

    def conclude(row, interval, by, **how):
        kept.update(row=row, interval=interval, **how)

    conclude.kept = kept
    return conclude


def test_a_task_that_tells_sizes_apart_qualifies():
    assert doubt(made_up(), [BASELINE]) == "" and doubt(made_up(), [TAUGHT]) == ""


@pytest.mark.parametrize(
    ("changes", "variant", "reason"),
    [
        ({"tiny": (40.0, 0.5)}, BASELINE, "points ahead of tiny, needed > 0"),
        ({"tiny": (8.0, 0.0)}, BASELINE, "tiny is 8.0 % right, the commonest answer 5.0 %"),
        ({"mini": (97.0, 0.0)}, BASELINE, "mini is 97.0 % right"),
        ({"teacher": 42.0}, TAUGHT, "points ahead of mini, needed 5"),
    ],
)
def test_one_that_does_not_is_named(changes, variant, reason):
    assert reason in doubt(made_up(**changes), [variant])


def test_sizes_that_more_seeds_tell_apart_qualify():
    small = made_up(mini=(40.0, 4.0), tiny=(30.0, 4.0))
    level = Looks(SETTINGS.looks).confidence(1)
    first = difference(*(small.accuracy(Variant(size), 5) for size in ("mini", "tiny")), level=level)
    assert not first.low > 0, "or there would be nothing to look at again for"
    assert doubt(small, [BASELINE]) == "" and small.most == 10


@pytest.mark.parametrize(("untaught", "reason"), [(30.0, ""), (40.0, "needed > 0"), (45.0, "needed > 0")])
def test_pre_training_must_gain_something(untaught, reason):
    said = doubt_of_pretraining(made_up(given={UNTAUGHT: (untaught, 0.5)}), [BASELINE])
    assert reason in said and bool(said) == bool(reason)


def test_the_papers_own_pre_training_is_not_asked():
    small = made_up(given={UNTAUGHT: (45.0, 0.5)})
    small.session = SimpleNamespace(settings=SimpleNamespace(scale="paper-t5"))
    assert doubt_of_pretraining(small, [BASELINE]) == ""


def test_a_row_ends_with_the_look_that_decides_it(concluded):
    small = made_up(given={OTHER: (60.0, 0.5)})
    settle_ahead(concluded, small, ahead("SL4a", "far-ahead", ("other", OTHER), ("baseline", BASELINE)))
    assert small.most == 5 and concluded.kept["interval"].low > 0
    assert "look 1 of 2" in concluded.kept["details"]["looks"]


def test_an_undecided_row_takes_all_seeds_and_says_how_many_would_do(concluded):
    small = made_up(mini=(40.0, 3.0), given={OTHER: (40.3, 3.0)})
    settle_ahead(concluded, small, ahead("SL4a", "near", ("other", OTHER), ("baseline", BASELINE)))
    assert small.most == 10 and "seeds of each" in concluded.kept["decide"].words


def test_an_instrument_that_does_not_qualify_gets_no_second_look(concluded):
    small = made_up(teacher=41.0, given={TAUGHT: (40.0, 3.0)})
    settle_ahead(concluded, small, ahead("SL11a", "near-teacher", ("taught", TAUGHT), ("baseline", BASELINE)))
    assert small.most == 5 and "needed 5" in concluded.kept["doubt"]


@pytest.mark.parametrize(("control", "most"), [(False, 20), (True, 10)])
def test_spread_takes_more_seeds_and_controls_no_more_than_means(concluded, control, most):
    small = made_up(given={OTHER: (40.0, 0.5)})
    row = steadier("SL12a", f"same-{control}", ("other", OTHER), ("baseline", BASELINE), control=control)
    settle_steadier(concluded, small, row)
    assert small.most == most


def test_groups_without_spread_decide_nothing(concluded):
    small = made_up(mini=(40.0, 0.0), given={OTHER: (40.0, 0.5)})
    settle_steadier(concluded, small, steadier("SL12a", "none", ("other", OTHER), ("baseline", BASELINE)))
    assert concluded.kept["interval"].low == 0 and "cannot be told" in concluded.kept["decide"].words


def test_the_maximum_of_five_runs_stands_beside_the_means(concluded):
    small = made_up()
    settle_ahead(concluded, small, ahead("SL4a", "maxima", ("baseline", BASELINE), ("tiny", Variant("tiny"))))
    assert concluded.kept["details"]["maximum_of_five"] == {
        "baseline": small.accuracy(BASELINE, 5).max(),
        "tiny": small.accuracy(Variant("tiny"), 5).max(),
    }
