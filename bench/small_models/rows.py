"""Verdicts on the trained small models: what the task must show first, and what is kept of every seed."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

from bench.fixtures import Conclude
from bench.small_models.lab import SmallModels
from bench.small_models.settings import SIZES
from bench.small_models.variants import Variant
from bench.verdict.documents import Array, Interval
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from bench.verdict.seeds import deviation_ratio, difference, seeds_to_decide
from models.t5 import TABLE_3_1, FeedForward

AHEAD = Region(low=0.0)
"""Points of accuracy."""
SAME = Region(-1.0, 1.0)
"""Points within which two means are the same: the report's own differences between them are 0.0 and 0.1."""
ROOM = 5.0
"""Points that an accuracy must keep from the commonest answer's and from 100."""
MINI = TABLE_3_1["mini"]
BASELINE = Variant("mini")


def doubt(small: SmallModels, *variants: Variant, teachers: bool = False) -> str:
    """Reason why the task cannot tell models apart; empty where it can.

    It is asked of the sizes involved as they are, without what is done to them: what a change does is the result.
    """
    floor, missing = small.floor, []
    for size in sorted({"mini", *(variant.size for variant in variants)}):
        accuracy = float(small.accuracy(Variant(size)).mean())
        if not floor + ROOM < accuracy < 100 - ROOM:
            missing.append(f"{size} is {accuracy:.1f} % right, the commonest answer {floor:.1f} %")
    order = SIZES if teachers else SIZES[:2]
    for less, more in pairwise(order):
        gap = difference(small.accuracy(Variant(more)), small.accuracy(Variant(less)))
        if not gap.low > 0:
            missing.append(f"{more} is {gap} points ahead of {less}, needed > 0")
    if not missing:
        return ""
    return f"the task does not discriminate ({'; '.join(dict.fromkeys(missing))}); train longer: --effort=thorough"


def settle(
    conclude: Conclude,
    small: SmallModels,
    row: Row,
    interval: Interval,
    variants: dict[str, Variant],
    *,
    spread: bool = False,
    teachers: bool = False,
    note: str = "",
) -> None:
    """Conclude a row that stands on several variants, with every seed's result."""
    seeds = small.settings.spread_seeds if spread else small.settings.seeds
    groups = [small.accuracy(variant, spread=spread) for variant in variants.values()]
    needed = seeds_to_decide(groups[0], groups[-1]) if len(groups) > 1 else seeds
    details = small.described({name: (variant, seeds) for name, variant in variants.items()})
    details["maximum"] = {name: float(group.max()) for name, group in zip(variants, groups, strict=True)}
    about = "" if spread else f" (about {needed:,} each, if means and spreads are what they seem)"
    doubtful = note or doubt(small, *variants.values(), teachers=teachers)
    conclude(row, interval, small, doubt=doubtful, details=details, decide=f"more seeds{about}")


def ahead(
    of: str,
    row: str,
    first: tuple[str, Variant],
    second: tuple[str, Variant],
    *,
    accept: Region = AHEAD,
    control: bool = False,
) -> Row:
    """Row on the first variant's mean accuracy less the second's, in points."""
    because = (
        "ahead, however little" if accept is AHEAD else "the report's own differences between them are 0.0 and 0.1"
    )
    statistic = f"points of {first[0]} over {second[0]}"
    return Row(row, of, statistic, accept, because, (first, second), difference, control)


def settle_ahead(conclude: Conclude, small: SmallModels, row: Row, *, teachers: bool = False) -> None:
    """Conclude such a row."""
    variants = {str(name): of_protocol(small, variant) for name, variant in row.contestants}  # type: ignore[misc]
    interval = difference(*(small.accuracy(variant) for variant in variants.values()))
    settle(conclude, small, row, interval, variants, teachers=teachers)


def spreads(groups: list[Array]) -> tuple[Interval, str]:
    """The ratio of two groups' standard deviations, and why it says nothing where that is so."""
    try:
        return deviation_ratio(*groups), ""
    except ValueError as error:
        return Interval(1.0, 0.0, math.inf), f"{error}; train longer: --effort=thorough"


def networks(encoder: FeedForward, decoder: FeedForward | None = None) -> Variant:
    """Mini with other feed-forward networks; its shape is filled in by the lab's protocol."""
    return Variant("mini", MINI.with_feed_forward(encoder, decoder))


def of_protocol(small: SmallModels, variant: Variant) -> Variant:
    """The variant with the protocol's own mini in the place of Table 3.1's."""
    own, asked = small.settings.shapes["mini"], variant.shape
    if asked is None:
        return variant
    heads = round(own.heads * asked.heads / MINI.heads)
    width = round(own.head_width * asked.head_width / MINI.head_width)
    shape = replace(own, heads=heads, head_width=width)
    return replace(variant, shape=shape.with_feed_forward(asked.encoder_feed_forward, asked.decoder_feed_forward))
