"""Wang, Wang & Li: Evaluating Zero-Shot Long-Context LLM Compression. What the largest weights do: LC5, LC8."""

from __future__ import annotations

from functools import partial

import pytest

from bench.fixtures import Conclude
from bench.long_context.lab import LongContext
from bench.long_context.measured import Measured
from bench.long_context.rows import BAND, COSTS, GROWTH, growing, grown, grown_more, measured_of, of_two, settle
from bench.parameters import parameters
from bench.verdict.documents import LEVEL, Interval, level_ratio
from bench.verdict.regions import FLAT, GROWS, UNCHANGED, Region, Verdict, judge
from bench.verdict.rows import Row
from compress.pruning.magnitude import MagnitudePruning
from compress.quantization.grouping import PerGroup
from compress.quantization.mixed_precision import Keep, Protection
from compress.quantization.rounding import RoundToNearest

pytestmark = COSTS


def rounded(bits: int, acts: int | None = None, keep: Keep | None = None) -> RoundToNearest:
    """Weights by groups of 128, of which 2 % may be protected at 8 bits."""
    protect = None if keep is None else Protection(0.02, keep)
    return RoundToNearest(bits, PerGroup(128), protect=protect, activation_bits=acts)


def _protected_growth(protected: Measured, _plain: Measured, *, resamples: int, level: float) -> Interval:
    return grown(protected, resamples=resamples, level=level)


LC5 = [
    Row(f"LC5-{contestants[0]}-{name}", of, statistic, accept, because, contestants, measure)
    for bits in (3, 4)
    for acts in (None, 8)
    for contestants in [(rounded(bits, acts, Keep.LARGEST), rounded(bits, acts))]
    for name, of, statistic, accept, because, measure in (
        ("growth", "LC5a", GROWTH, FLAT, BAND, _protected_growth),
        (
            "less-growth",
            "LC5a",
            "growth of KL per doubling with protected groups over growth without",
            Region(high=1.0),
            "the paper says that it disappears",
            grown_more,
        ),
        (
            "level",
            "LC5b",
            "mean KL with protected groups over mean KL without",
            UNCHANGED,
            "equivalence: within a quarter in either direction",
            partial(of_two, level_ratio),
        ),
    )
]


@pytest.mark.parametrize("row", parameters(*LC5))
def test_protecting_two_percent_removes_the_growth(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """Fig. 2: with 2 % of groups at 8 bits the growth disappears and the level stays, with and without activations."""
    settle(long_context, conclude, row, doubtful=_nothing_to_remove)


def _nothing_to_remove(lab: LongContext, row: Row) -> str:
    """Reason why a row on growth says nothing: without protection there is none."""
    if row.part != "a":
        return ""
    _, plain = measured_of(lab, row)
    before = grown(plain, resamples=lab.settings.resamples, level=LEVEL)
    if judge(before, GROWS) is Verdict.REPRODUCED:
        return ""
    return f"without protection there is no growth to remove: {before} per doubling"


LC8 = [
    Row(
        f"LC8-{other}",
        "LC8a",
        "growth of KL per doubling with these groups protected over growth with the largest protected",
        GROWS,
        "other groups than the largest should leave more growth",
        (other, rounded(3, keep=Keep.LARGEST)),
        grown_more,
    )
    for other in (rounded(3, keep=keep) for keep in (Keep.RANDOM, Keep.SMALLEST))
]
PRUNED_LARGEST = [
    growing("LC8a", MagnitudePruning(share, largest=True), GROWS, "§4.3 turned round", control=True)
    for share in (0.001, 0.01)
]


@pytest.mark.parametrize("row", parameters(*LC8, *PRUNED_LARGEST))
def test_only_the_largest_groups_carry_long_range(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """§4.3, with the comparison that the paper lacks: other groups protected."""
    settle(long_context, conclude, row)
