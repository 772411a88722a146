"""The survey's claims on distillation with small T5 models: SV16, and controls of SV15.

A pretrained teacher of classifiers votes on SV15 (`bench/survey/test_distillation.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.fixtures import Conclude, once
from bench.parameters import parameters
from bench.small_models.lab import SmallModels
from bench.small_models.rows import AHEAD, BASELINE, ROOM, ahead, settle, settle_ahead, variants_of
from bench.small_models.tables import SHIFTED, TEST
from bench.small_models.tuned import Tuned
from bench.small_models.variants import Chosen, Distilled, Variant
from bench.verdict.documents import Array, Interval
from bench.verdict.rows import Row
from bench.verdict.seeds import contrast, difference
from models.data.tasks import Task, arithmetic, with_rationales

PAPER_SCALE = "paper-t5"
pytestmark = [
    pytest.mark.cost(fixture="small", embedded=(10, 0, 500), gpu=(10, 200, 1600)),
    pytest.mark.cost(of=Variant, embedded=(3, 0, 400), gpu=(10, 200, 1600)),
]
"""Twenty seeds of a model at most, pre-trained and tuned; every row needs tiny and mini."""
PLAIN = Distilled("small", 0.1, 1.0)
LABELS, SOFT = ("labels", BASELINE), ("soft", Variant("mini", distilled=Chosen("small")))


def taught(name: str, how: Distilled) -> tuple[str, Variant]:
    """Student of Small, taught in one of several ways."""
    return name, Variant("mini", distilled=how)


FORMS = [
    ahead("SV15a", "SV15-soft-over-labels", SOFT, LABELS, control=True),
    ahead(
        "SV15a",
        "SV15-temperature-3-over-1",
        taught("temperature-3", replace(PLAIN, temperature=3.0)),
        taught("1", PLAIN),
        control=True,
    ),
    ahead(
        "SV15a",
        "SV15-reverse-over-forward",
        taught("reverse", replace(PLAIN, divergence="reverse")),
        taught("forward", PLAIN),
        control=True,
    ),
    ahead(
        "SV15a", "SV15-soft-over-written", SOFT, taught("written", replace(PLAIN, divergence="written")), control=True
    ),
]


@pytest.mark.cost(shared="teachers small and base, α and T", embedded=(20, 0, 900), gpu=(60, 2000, 8000))
@pytest.mark.parametrize("row", parameters(*FORMS))
def test_soft_targets(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """A student of Small: its logits against labels alone, and forms of taking them."""
    settle_ahead(conclude, small, row)


AWAY = [
    Row(
        f"SV15-out-of-distribution-{name}",
        "SV15c",
        "points that the student loses to its teacher out of distribution, less in it",
        AHEAD,
        "more, however little",
        ((name, variant),),
        control=True,
    )
    for name, variant in (("distilled", SOFT[1]), ("labels", Variant("mini")))
]


@pytest.mark.cost(shared="teachers small and base, α and T", embedded=(20, 0, 900), gpu=(60, 2000, 8000))
@pytest.mark.parametrize("row", parameters(*AWAY))
def test_students_lose_out_of_distribution(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """A student's shortfall on another distribution less that on its own, in points; its teacher is Small."""
    variant = small.resolved(*variants_of(row).values())
    if SHIFTED not in small.runs(variant, small.settings.looks[0]):
        pytest.skip("the task has no other distribution to score")
    near, far = (small.teacher_accuracy("small", part=part) for part in (TEST, SHIFTED))

    def lost(groups: Sequence[Array], level: float) -> Interval:
        own, away = groups[0], small.accuracy(variant, len(groups[0]), part=SHIFTED)
        return contrast([(far - away) - (near - own)], [1], level=level)

    def learned() -> str:
        """Reason why nothing can be lost there: the teacher itself is at chance."""
        floor = small.floor
        return "" if far > floor + ROOM else f"the teacher is {far:.1f} % right there, by chance {floor:.1f} %"

    settle(conclude, small, row, variants_of(row), lost, reasons=learned)


SUMS = 1
"""First seed by which sums are drawn; those of 0 were scored when rationales had as many steps as labels alone."""
TASKS = 2
"""Labels and rationales."""
HALF_DATA, SAME_DATA = (
    Row(
        f"SV16-rationales-{data}",
        "SV16a",
        f"points of labels and rationales from {share} the examples over labels alone from all",
        AHEAD,
        "ahead, however little",
        (data,),
        control=data == "same-data",
    )
    for data, share in (("half-data", "half"), ("same-data", "all"))
)


@pytest.mark.cost(embedded=(20, 0, 900), gpu=(10, 120, 600))
@pytest.mark.parametrize("row", parameters(HALF_DATA, SAME_DATA))
def test_rationales(request: pytest.FixtureRequest, small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Sums with their partial sums as a second target, from half the examples or all, over labels alone from all.

    Each step of multi-task training has the label and the rationale of every example in its batch (Hsieh et al. 2023,
    §3.2); here they are examples of their own, so what learns from both takes twice the steps.
    """
    count, seed = small.settings.sums, SUMS + small.session.settings.seed
    used = count // 2 if row is HALF_DATA else count

    def on(label: str, rationales: int) -> SmallModels:
        made = lambda: small.on(label, lambda: _sums(count, rationales, seed))  # noqa: E731
        return once(request, ("other", id(small), label), made)

    alone, steps = on("sums", 0), TASKS * small.settings.tuning.steps
    both = Tuned(on(f"sums with rationales, {used}", used), f"{steps} steps", steps=steps)

    def gained(groups: Sequence[Array], level: float) -> Interval:
        return difference(both.accuracy(BASELINE, len(groups[0])), groups[0], level=level)

    settle(conclude, alone, row, dict([LABELS]), gained, doubtful=_unlearned(both, alone))


def _unlearned(both: SmallModels, alone: SmallModels) -> str:
    """Reason why the sums say nothing: one of the two cannot add, or both always can."""
    floor, seeds = alone.floor, alone.settings.looks[0]
    first, second = (float(lab.accuracy(BASELINE, seeds).mean()) for lab in (both, alone))
    if floor + ROOM < min(first, second) and max(first, second) < 100 - ROOM:
        return ""
    return (
        f"{first:.1f} % of the sums are right with rationales and {second:.1f} % without, by chance {floor:.1f} %; "
        f"needed {ROOM:g} points clear of chance and of 100"
    )


def _sums(count: int, rationales: int, seed: int) -> Task:
    """Sums with so many rationales as a second target; 0 for labels alone."""
    task, reasons = arithmetic(train=count, test=1000, terms=4, largest=9, seed=seed)
    asked = [(f"[label] {source}", target) for source, target in task.test]
    if not rationales:
        return replace(task, train=[(f"[label] {s}", t) for s, t in task.train], test=asked)
    both = with_rationales(replace(task, train=task.train[:rationales]), reasons[:rationales])
    return Task(f"{task.name} with rationales", (), both, asked, [])
