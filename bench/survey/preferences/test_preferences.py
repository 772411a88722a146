"""A Brief Survey of Model Compression in Language Models: preference distillation, SV19.

Zephyr (§ on black-box distillation; Tunstall et al. 2023) tunes a student on its teacher's outputs, then on pairs that
the teacher scored (dDPO). Here a small GPT-2 has a larger one as teacher, and what it prefers is the likelier
continuation. That says whether the method moves a student towards a teacher's ranking of unseen pairs, and what that
costs in perplexity. A likelier continuation is also what supervised distillation aims at, unlike people's preferences;
right and wrong sums are the second case. It says nothing of alignment, chat, or the judgment of people: no model here
has any of these.
"""

from __future__ import annotations

import numpy as np
import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.preferences.lab import Arm, Preferences, Task, Way
from bench.verdict.crossed import CrossedInterval, crossed_interval
from bench.verdict.documents import Array
from bench.verdict.needed import which_would_decide
from bench.verdict.regions import Region
from bench.verdict.rows import Row

pytestmark = [
    pytest.mark.cost(fixture="preferences", embedded=(4, 0, 350), gpu=(60, 300, 900)),
    pytest.mark.cost(2),
]
HALF, MOVED = Region(low=50.0), "moves: more pairs towards the teacher's preference than away from it"
FURTHER, WHY_FURTHER = Region(low=0.0), "moves more pairs the right way, however few"
LITTLE = Region(high=1.05)
WAYS = (Way.PREFERENCES, Way.SUPERVISED)
UNITS = ("seeds", "documents")


def moved(task: Task, way: Way, of: str, *, control: bool = False) -> Row:
    """Row on the share of unseen pairs on which one way of tuning moves the student towards the preferred one."""
    return Row(
        f"SV19-{task.value}-moved-by-{way.value}",
        of,
        f"% of unseen pairs ({task.value}) that {way.value} tuning moves towards the preferred continuation",
        HALF,
        MOVED,
        (task, way),
        control=control,
    )


def further(task: Task, *, control: bool = False) -> Row:
    """Row on how many more pairs preferences move the right way than supervised tuning does."""
    return Row(
        f"SV19-{task.value}-preferences-over-supervised",
        "SV19b",
        f"points of unseen pairs ({task.value}) that preferences move towards the preferred continuation more often "
        "than as many supervised steps on the preferred ones do",
        FURTHER,
        WHY_FURTHER,
        (task, *WAYS),
        control=control,
    )


MOVES = [
    moved(Task.TEXT, Way.PREFERENCES, "SV19a"),
    further(Task.TEXT),
    moved(Task.TEXT, Way.SUPERVISED, "SV19b", control=True),
    moved(Task.SUMS, Way.PREFERENCES, "SV19a", control=True),
    further(Task.SUMS, control=True),
    moved(Task.SUMS, Way.SUPERVISED, "SV19b", control=True),
]


@pytest.mark.parametrize("row", parameters(*MOVES))
def test_pairs_that_tuning_moves_the_right_way(preferences: Preferences, conclude: Conclude, row: Row) -> None:
    """Pairs of scored documents' prompts; each way at the rate that moves most held-out pairs the right way."""
    task, *ways = row.contestants
    arms = [preferences.chosen(task, way) for way in ways]  # pyright: ignore[reportArgumentType]
    shares = [100 * preferences.gathered(arm, "moved") for arm in arms]
    values = shares[0] - shares[1] if len(shares) > 1 else shares[0]
    shown = [Arm(arms[0].task, Way.NONE), *arms]
    doubt = preferences.doubt() if task is Task.TEXT else ""
    interval = _over_both(values)
    decide = which_would_decide(interval, row.accept, of=UNITS, ratio=False)
    conclude(row, interval, preferences, doubt=doubt, details=_details(preferences, shown), decide=decide)


def _over_both(values: Array) -> CrossedInterval:
    return crossed_interval(values, lambda means: means[..., 0])


def _details(lab: Preferences, arms: list[Arm]) -> dict:
    names = ("moved", "accuracy", "loss")
    return {"preferences": {str(arm): {name: float(lab.gathered(arm, name).mean()) for name in names} for arm in arms}}


def after(task: Task, name: str) -> Row:
    """Control on what preferences leave behind, against as many supervised steps."""
    texts = {
        "perplexity": ("perplexity of preferred continuations", LITTLE, "costs little: at most 5 %"),
        "accuracy": ("points of pairs ranked as the teacher does", FURTHER, "ranks more as the teacher does"),
    }
    statistic, region, why = texts[name]
    return Row(
        f"SV19-{task.value}-{name}",
        "SV19b",
        f"{statistic} ({task.value}), after preferences against as many supervised steps",
        region,
        why,
        (task, *WAYS),
        control=True,
    )


AFTER = {after(task, name): name for task in Task for name in ("perplexity", "accuracy")}


@pytest.mark.parametrize("row", parameters(*AFTER))
def test_what_preferences_leave_behind(preferences: Preferences, conclude: Conclude, row: Row) -> None:
    """Preference optimization may lower both likelihoods as long as their ratio rises."""
    task, *ways = row.contestants
    first, second = (preferences.chosen(task, way) for way in ways)  # pyright: ignore[reportArgumentType]
    if AFTER[row] == "accuracy":
        gaps = 100 * (preferences.gathered(first, "accuracy") - preferences.gathered(second, "accuracy"))
        interval = _over_both(gaps)
    else:
        gaps = preferences.gathered(first, "loss") - preferences.gathered(second, "loss")
        interval = _over_both(gaps).map(np.exp)
    decide = which_would_decide(interval, row.accept, of=UNITS, ratio=AFTER[row] != "accuracy")
    conclude(row, interval, preferences, details=_details(preferences, [first, second]), decide=decide)
