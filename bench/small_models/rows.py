"""Verdicts on the trained small models: what must be seen first, looks at more and more seeds, and what is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from bench.fixtures import Conclude
from bench.small_models.lab import SmallModels
from bench.small_models.settings import SIZES
from bench.small_models.variants import Variant
from bench.verdict.documents import Array, Interval
from bench.verdict.looks import Looks, measure_in_looks
from bench.verdict.needed import what_would_decide
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from bench.verdict.seeds import contrast, deviation_ratio, difference
from models.t5 import TABLE_3_1, FeedForward

Of = Callable[[Sequence[Array], float], Interval]
"""Interval of a row from its contestants' accuracies, each `[seeds]`, at a level."""
AHEAD = Region(low=0.0)
"""Points of accuracy."""
SAME = Region(-1.0, 1.0)
"""Points within which two means are the same: the report's own differences between them are 0.0 and 0.1."""
ROOM = 5.0
"""Points that an accuracy must keep from the commonest answer's and from 100."""
GAP = 5.0
"""Points that a teacher must be ahead of its student."""
MINI = TABLE_3_1["mini"]
BASELINE = Variant("mini")
UNTAUGHT = Variant("mini", rate_factor=1e-4)
"""Mini nearly as it was drawn: at such a rate all of the embedded protocol's pre-training moves no matrix by 1 %."""


def doubt(small: SmallModels, variants: Sequence[Variant]) -> str:
    """Reason why the task cannot tell models apart; empty where it can.

    It is asked of the sizes involved as they are, without what is done to them: what a change does is the result. The
    seeds are those of the first look; that mini is ahead of tiny may take as many as a row on means.
    """
    seeds, floor = small.settings.looks[0], small.floor
    sizes = {"tiny", "mini", *(variant.size for variant in variants)}
    groups = {size: small.accuracy(Variant(size), seeds) for size in SIZES if size in sizes}
    seen = {size: float(group.mean()) for size, group in groups.items()}
    missing = []
    gap = _lead_of_mini(small)
    if not gap.low > 0:
        missing.append(f"mini is {gap} points ahead of tiny, needed > 0")
    for student, teacher in sorted({(v.size, v.distilled.teacher) for v in variants if v.distilled}):
        accuracy = small.teacher_accuracy(teacher)
        lead = contrast([groups[student] - accuracy], [-1])
        seen[f"the teacher {teacher}"] = accuracy
        if not (lead.value >= GAP and lead.low > 0):
            missing.append(f"the teacher {teacher} is {lead} points ahead of {student}, needed {GAP:g}")
    missing += [
        f"{name} is {accuracy:.1f} % right, the commonest answer {floor:.1f} %"
        for name, accuracy in seen.items()
        if not floor + ROOM < accuracy < 100 - ROOM
    ]
    return f"the task does not discriminate ({'; '.join(missing)}); train longer: --effort=thorough" if missing else ""


def _lead_of_mini(small: SmallModels) -> Interval:
    """Points of mini over tiny, by as many looks as it takes."""

    def lead(seeds: int, level: float) -> Interval:
        return difference(*(small.accuracy(Variant(size), seeds) for size in ("mini", "tiny")), level=level)

    return measure_in_looks(Looks(small.settings.looks), AHEAD, lead).interval


def doubt_of_pretraining(small: SmallModels, variants: Sequence[Variant]) -> str:
    """Reason why the task cannot show what is changed about pre-training: `doubt`, or it gains nothing by any.

    On held-out examples, two seeds of a mini 16 wide that was fine-tuned at a rate of 0.01, 42.1 % are right without
    pre-training, 42.7 % with it and 39.4 % after ten times as much. The paper's own protocol is not asked: there it
    helps.
    """
    if (doubtful := doubt(small, variants)) or small.session.settings.scale.startswith("paper"):
        return doubtful
    seeds = small.settings.looks[0]
    gain = difference(small.accuracy(BASELINE, seeds), small.accuracy(UNTAUGHT, seeds))
    return "" if gain.low > 0 else f"pre-training gains {gain} points over none, needed > 0"


def settle(
    conclude: Conclude,
    small: SmallModels,
    row: Row,
    variants: dict[str, Variant],
    measure: Of,
    *,
    sizes: tuple[int, ...] = (),
    ratio: bool = False,
    doubtful: str | None = None,
    reasons: Callable[[], str] | None = None,
) -> None:
    """Conclude a row that stands on several variants, with every seed's result.

    Seeds are added look by look until the row is decided. An instrument that does not qualify gets no second look, and
    controls no more than rows on means.

    Args:
        conclude: as the fixture gives it.
        small: the instrument.
        row: as declared.
        variants: by name, in the order in which `measure` takes them.
        measure: gives the interval.
        sizes: seeds at each look; by default those of rows on means.
        ratio: the statistic is a ratio.
        doubtful: why the instrument may not judge; by default what `doubt` says.
        reasons: further doubts, asked of an instrument that may.
    """
    resolved = {name: small.resolved(variant) for name, variant in variants.items()}
    doubtful = doubt(small, list(resolved.values())) if doubtful is None else doubtful
    looks = _looks(small, row, sizes or small.settings.looks, once=bool(doubtful))

    def groups(seeds: int) -> list[Array]:
        return [small.accuracy(variant, seeds) for variant in resolved.values()]

    outcome = measure_in_looks(looks, row.accept, lambda seeds, level: measure(groups(seeds), level))
    doubtful = doubtful or (reasons() if reasons else "")
    about, units = outcome.interval, outcome.units
    decide = what_would_decide(about, units, row.accept, of="seeds of each", ratio=ratio, level=outcome.level)
    of_five = {name: float(group[:5].max()) for name, group in zip(resolved, groups(units), strict=True)}
    details = {**small.described(resolved, units), "maximum_of_five": of_five, "looks": str(outcome)}
    conclude(row, about, small, doubt=doubtful, details=details, decide=decide)


def _looks(small: SmallModels, row: Row, sizes: tuple[int, ...], *, once: bool) -> Looks:
    if once:
        return Looks(sizes[:1])
    most = small.settings.looks[-1] if row.control else sizes[-1]
    return Looks(tuple(size for size in sizes if size <= most) or sizes[:1])


def of_difference(groups: Sequence[Array], level: float) -> Interval:
    """Mean of the first less that of the second."""
    return difference(*groups, level=level)


def of_spreads(groups: Sequence[Array], level: float) -> Interval:
    """Standard deviation of the first over that of the second; from nought to infinity where one has none."""
    try:
        return deviation_ratio(*groups, level=level)
    except ValueError:
        return Interval(1.0, 0.0, math.inf)


def ahead(
    of: str,
    row: str,
    first: tuple[str, Variant],
    second: tuple[str, Variant],
    *,
    accept: Region = AHEAD,
    because: str = "ahead, however little",
    control: bool = False,
) -> Row:
    """Row on the first variant's mean accuracy less the second's, in points."""
    return Row(row, of, f"points of {first[0]} over {second[0]}", accept, because, (first, second), control=control)


def steadier(
    of: str, row: str, first: tuple[str, Variant], second: tuple[str, Variant], *, control: bool = False
) -> Row:
    """Row on the first variant's standard deviation over seeds over the second's."""
    statistic = f"standard deviation over seeds, {first[0]} over {second[0]}"
    return Row(row, of, statistic, Region(low=1.0), "more, however little", (first, second), control=control)


def variants_of(row: Row) -> dict[str, Variant]:
    """A row's contestants by name."""
    return {str(name): variant for name, variant in row.contestants if isinstance(variant, Variant)}  # type: ignore[misc]


def settle_ahead(
    conclude: Conclude,
    small: SmallModels,
    row: Row,
    *,
    doubtful: str | None = None,
    reasons: Callable[[], str] | None = None,
) -> None:
    """Conclude a row on two means."""
    variants, sizes = variants_of(row), sizes_of(small, row)
    settle(conclude, small, row, variants, of_difference, sizes=sizes, doubtful=doubtful, reasons=reasons)


def sizes_of(small: SmallModels, row: Row) -> tuple[int, ...]:
    """Seeds at each look of a row on means; one on their sameness takes as many as one on spread."""
    return small.settings.spread_looks if row.accept == SAME else ()


def settle_steadier(conclude: Conclude, small: SmallModels, row: Row) -> None:
    """Conclude a row on two spreads."""
    settle(conclude, small, row, variants_of(row), of_spreads, sizes=small.settings.spread_looks, ratio=True)


def networks(encoder: FeedForward, decoder: FeedForward | None = None) -> Variant:
    """Mini with other feed-forward networks; the lab fills in the protocol's own sizes."""
    return Variant("mini", MINI.with_feed_forward(encoder, decoder))
