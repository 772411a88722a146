"""The survey's claims on distillation with small T5 models: SV16, and controls of SV15.

A pretrained teacher of classifiers votes on SV15 (`bench/survey/test_distillation.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.fixtures import Conclude, once
from bench.parameters import parameters
from bench.small_models.lab import SmallModels
from bench.small_models.rows import AHEAD, BASELINE, ROOM, ahead, settle, settle_ahead
from bench.small_models.variants import Distilled, Variant
from bench.verdict.documents import Array
from bench.verdict.rows import Row
from bench.verdict.seeds import contrast, difference
from models.data.embedded import wikipedia_articles
from models.data.tasks import Task, arithmetic, counterfactual_nli, sentence_order, with_rationales

PAPER_SCALE = "paper-t5"
pytestmark = [
    pytest.mark.cost(fixture="small", embedded=(2, 0, 120), gpu=(10, 200, 1600)),
    pytest.mark.cost(of=Variant, embedded=(2, 0, 120), gpu=(10, 200, 1600)),
]
"""Five seeds of a model, pre-trained and tuned; every row needs tiny and mini, of which the first is no contestant."""
TEACHER = Distilled("small", 0.1, 3.0)
PLAIN = replace(TEACHER, temperature=1.0)


def taught(name: str, how: Distilled | None) -> tuple[str, Variant]:
    """Student of Small, taught in one of several ways; None for labels alone."""
    return name, Variant("mini", distilled=how)


SOFT = [
    ahead("SV15a", "SV15-soft-over-labels", taught("soft", TEACHER), taught("labels", None), control=True),
    ahead("SV15a", "SV15-temperature-3-over-1", taught("temperature-3", TEACHER), taught("1", PLAIN), control=True),
    ahead(
        "SV15a",
        "SV15-reverse-over-forward",
        taught("reverse", replace(PLAIN, divergence="reverse")),
        taught("forward", PLAIN),
        control=True,
    ),
    ahead(
        "SV15a",
        "SV15-soft-over-written",
        taught("soft", TEACHER),
        taught("written", replace(TEACHER, divergence="written")),
        control=True,
    ),
]


@pytest.mark.cost(shared="teachers small and base", embedded=(4, 0, 300), gpu=(20, 500, 4000))
@pytest.mark.parametrize("row", parameters(*SOFT))
def test_soft_targets(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """A student of Small: its logits against labels alone, and forms of taking them."""
    settle_ahead(conclude, small, row, teachers=True)


ORDER, NLI = (
    Row(
        f"SV15-out-of-distribution-{task}",
        "SV15c",
        "points that the student loses to its teacher out of distribution, less in it",
        AHEAD,
        "more, however little",
        (task,),
        control=True,
    )
    for task in ("order", "nli")
)


@pytest.mark.cost(embedded=(3, 0, 200), gpu=(10, 250, 1000))
@pytest.mark.parametrize("row", parameters(ORDER, NLI))
def test_students_lose_out_of_distribution(
    request: pytest.FixtureRequest, small: SmallModels, conclude: Conclude, row: Row
) -> None:
    """The student's shortfall on another distribution less that on its own, in points."""
    other = _on(request, small, str(row.contestants[0]), _task_of(small, row))
    teacher, student = (_scores(other, Variant(size)) for size in ("small", "mini"))
    shortfalls = [teacher["test"], student["test"], teacher["shifted"], student["shifted"]]
    variants = {"small": Variant("small"), "mini": BASELINE}
    settle(conclude, other, row, contrast(shortfalls, [-1, 1, 1, -1]), variants, note=_teacher_ahead(other))


def _task_of(small: SmallModels, row: Row) -> Callable[[], Task]:
    settings = small.session.settings
    measuring = small.session.store.write is not None
    if row is NLI:
        folder = settings.data_dir
        if folder is None and measuring:
            pytest.skip("needs snli-cad-train.tsv and snli-cad-dev.tsv; give their folder with --data-dir")
        return lambda: counterfactual_nli(folder)  # pyright: ignore[reportArgumentType]
    if settings.scale.startswith("paper"):
        pytest.skip("stated for the embedded text; --scale=paper has MNLI")
    return lambda: sentence_order(wikipedia_articles(), shifted_documents=20, seed=settings.seed)


def _on(request: pytest.FixtureRequest, small: SmallModels, label: str, make: Callable[[], Task]) -> SmallModels:
    """Instrument for another task, made once, with the same protocol, text and pre-trained models."""
    return once(request, ("other", id(small), label), lambda: small.on(label, make))


def _scores(small: SmallModels, variant: Variant) -> dict[str, Array]:
    run = small.measure(variant, small.settings.seeds)
    return {name: 100 * run[name] for name in ("test", "shifted")}


def _teacher_ahead(small: SmallModels) -> str:
    """Reason why this task says nothing: only the teacher and the student matter here."""
    teacher, student = (small.accuracy(Variant(size)) for size in ("small", "mini"))
    gap, floor = difference(teacher, student), small.floor
    if gap.low > 0 and student.mean() > floor + ROOM:
        return ""
    return (
        f"the task does not discriminate: the teacher is {gap} points ahead, and the student "
        f"{student.mean():.1f} % right against {floor:.1f} % of the commonest answer; train longer: --effort=thorough"
    )


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


@pytest.mark.cost(embedded=(3, 0, 120), gpu=(10, 120, 600))
@pytest.mark.parametrize("row", parameters(HALF_DATA, SAME_DATA))
def test_rationales(request: pytest.FixtureRequest, small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Sums with their partial sums as a second target, from half the examples or all, over labels alone from all."""
    count, seed = small.settings.arithmetic, small.session.settings.seed
    used = count // 2 if row is HALF_DATA else count
    with_reasons = _on(request, small, f"sums with rationales, {used}", lambda: _sums(count, used, seed))
    alone = _on(request, small, "sums", lambda: _sums(count, 0, seed))
    first, second = with_reasons.accuracy(BASELINE), alone.accuracy(BASELINE)
    floor, note = alone.floor, ""
    if not floor + ROOM < max(first.mean(), second.mean()) < 100 - ROOM:
        note = (
            f"neither has learned to add: {first.mean():.1f} and {second.mean():.1f} % right, by chance {floor:.1f} %"
        )
    settle(conclude, alone, row, difference(first, second), {"mini": BASELINE}, note=note)


def _sums(count: int, rationales: int, seed: int) -> Task:
    """Sums with so many rationales as a second target; 0 for labels alone."""
    task, reasons = arithmetic(train=count, test=500, terms=3, largest=30, seed=seed)
    asked = [(f"[label] {source}", target) for source, target in task.test]
    if not rationales:
        return replace(task, train=[(f"[label] {s}", t) for s, t in task.train], test=asked, shifted=[])
    both = with_rationales(replace(task, train=task.train[:rationales]), reasons[:rationales])
    return Task(f"{task.name} with rationales", (), both, asked, [])
