"""A Brief Survey of Model Compression in Language Models: preference distillation, SV19.

Zephyr (§ on black-box distillation; Tunstall et al. 2023) tunes a student on its teacher's outputs, then on pairs that
the teacher scored (dDPO). Here a small GPT-2 has a larger one as teacher, and what it prefers is the likelier
continuation. That says whether the method moves a student towards a teacher's ranking of unseen pairs, and what that
costs in perplexity. It says nothing of alignment, chat, or the judgment of people: no model here has any of these.
"""

from __future__ import annotations

import numpy as np
import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.preferences.lab import Arm, Preferences, Task, Way
from bench.verdict.crossed import crossed_interval
from bench.verdict.documents import Array, Interval
from bench.verdict.regions import GROWS, Region
from bench.verdict.rows import Row

pytestmark = [
    pytest.mark.cost(fixture="preferences", embedded=(4, 0, 700), gpu=(60, 300, 900)),
    pytest.mark.cost(2),
]
RISES, WHY_RISES = Region(low=0.0), "moves: more pairs are ranked as the teacher does, however few"
LITTLE = Region(high=1.05)
CEILING = 0.97
"""Accuracy of the supervised student from which hardly anything is left to gain."""


def gained(of: str, task: Task, way: Way, against: Way, *, control: bool = False) -> Row:
    """Row on the points of preference accuracy that one way of tuning gains over another."""
    start = "the supervised student" if against is Way.NONE else "as many supervised steps more"
    return Row(
        f"SV19-{task.value}-{way.value}-over-{'start' if against is Way.NONE else against.value}",
        of,
        f"points of held-out preference accuracy ({task.value}) that {way.value} gains over {start}",
        RISES,
        WHY_RISES,
        (task, way, against),
        control=control,
    )


GAINS = [
    gained("SV19a", Task.TEXT, Way.PREFERENCES, Way.NONE),
    gained("SV19b", Task.TEXT, Way.PREFERENCES, Way.SUPERVISED),
    gained("SV19b", Task.TEXT, Way.SUPERVISED, Way.NONE, control=True),
    gained("SV19a", Task.SUMS, Way.PREFERENCES, Way.NONE, control=True),
    gained("SV19b", Task.SUMS, Way.PREFERENCES, Way.SUPERVISED, control=True),
    gained("SV19b", Task.SUMS, Way.SUPERVISED, Way.NONE, control=True),
]


@pytest.mark.parametrize("row", parameters(*GAINS))
def test_accuracy_on_pairs_that_were_never_trained_on(preferences: Preferences, conclude: Conclude, row: Row) -> None:
    """Pairs of scored documents' prompts; each way at the rate that is best on held-out pairs."""
    task, way, against = row.contestants
    first, second = (_arm(preferences, task, of) for of in (way, against))  # pyright: ignore[reportArgumentType]
    gaps = 100 * (preferences.gathered(first, "accuracy") - preferences.gathered(second, "accuracy"))
    start = float(preferences.gathered(Arm(first.task, Way.NONE), "accuracy").mean())
    doubt = preferences.doubt() or _doubt(start)
    conclude(row, _over_both(gaps), preferences, doubt=doubt, details=_details(preferences, [first, second]))


def _arm(lab: Preferences, task: Task, way: Way) -> Arm:
    return Arm(task, way) if way is Way.NONE else lab.chosen(task, way)


def _over_both(values: Array) -> Interval:
    return crossed_interval(values, lambda means: means[..., 0])


def _doubt(start: float) -> str:
    if not 0.5 < start < CEILING:
        return f"the supervised student ranks {start:.0%} of pairs as its teacher, chance or nearly all: no gain shows"
    return ""


def _details(lab: Preferences, arms: list[Arm]) -> dict:
    return {
        "preferences": {
            str(arm): {name: float(lab.gathered(arm, name).mean()) for name in ("accuracy", "loss")} for arm in arms
        }
    }


def costs(task: Task) -> Row:
    """Control on what preferences cost in perplexity of the preferred continuations."""
    return Row(
        f"SV19-{task.value}-perplexity",
        "SV19a",
        f"perplexity of preferred continuations ({task.value}) after preferences over that of as many supervised steps",
        LITTLE if task is Task.TEXT else GROWS,
        "costs little: at most 5 %" if task is Task.TEXT else "supervised steps lower just this loss",
        (task,),
        control=True,
    )


@pytest.mark.parametrize("row", parameters(costs(Task.TEXT), costs(Task.SUMS)))
def test_perplexity_that_preferences_cost(preferences: Preferences, conclude: Conclude, row: Row) -> None:
    """Preference optimization lowers both likelihoods as long as their ratio rises."""
    (task,) = row.contestants
    ways = (Way.PREFERENCES, Way.SUPERVISED)
    first, second = (_arm(preferences, task, way) for way in ways)  # pyright: ignore[reportArgumentType]
    gaps = preferences.gathered(first, "loss") - preferences.gathered(second, "loss")
    conclude(row, _over_both(gaps).map(np.exp), preferences, details=_details(preferences, [first, second]))
