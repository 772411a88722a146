"""The Berkeley report's claim on the warm-up of small models, SL8 (§4.1, Figure 4.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.small_models.lab import PRETRAINING, SmallModels
from bench.small_models.rows import doubt_of_pretraining, of_spreads, settle, steadier, variants_of
from bench.small_models.variants import Variant
from bench.verdict.documents import Array, Interval
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from bench.verdict.seeds import far_out, low_outliers
from models.training.schedules import INVERSE_SQRT_FLAT

PAPER_SCALE = "paper-t5"
pytestmark = [
    pytest.mark.cost(fixture="small", embedded=(10, 0, 500), gpu=(10, 200, 1600)),
    pytest.mark.cost(of=Variant, embedded=(3, 0, 780), gpu=(15, 400, 3200)),
]
"""Forty seeds of a model at most; every row needs tiny and mini."""
HIGHER = 3.0
"""Multiple of the protocol's rate, at which runs are likelier to fail."""


def warmed(rate: float) -> tuple[tuple[str, Variant], tuple[str, Variant]]:
    """Level warm-up as T5 has it, and a linear one twice as long, with the same rates after both.

    Each takes its peak from its own warm-up, the inverse root of its length, so the level one's is √2 times as high.
    """
    linear = Variant("mini", rate_factor=rate)
    level = replace(linear, schedule=INVERSE_SQRT_FLAT, warmup_factor=0.5, rate_factor=rate * math.sqrt(2))
    return ("level warm-up", level), ("linear warm-up", linear)


SPREADS = [
    steadier("SL8a", "SL8-spread", *warmed(1.0)),
    steadier("SL8a", "SL8-spread-at-3x-rate", *warmed(HIGHER)),
]
LOW = Region(low=0.5)
OUTLIERS = [
    Row(name, "SL8b", "share of outliers that lie below", LOW, "low more often than high", warmed(rate))
    for name, rate in (("SL8-outliers-low", 1.0), ("SL8-outliers-low-at-3x-rate", HIGHER))
]


@pytest.mark.parametrize("row", parameters(*SPREADS, *OUTLIERS))
def test_longer_warm_up(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Level warm-up against a linear one twice as long (§4.1: 10,000 and 20,000 steps).

    All seeds are looked at once: a run that fails is rare, and without one there is nothing to judge.
    """
    variants = variants_of(row)

    def converged() -> str:
        """Reason why there is nothing to cure: every run of the level warm-up came to the others' loss."""
        losses = small.runs(variants["level warm-up"], small.settings.spread_looks[-1])[PRETRAINING][:, -1]
        if far_out(losses):
            return ""
        return f"none of {len(losses)} runs with the level warm-up fails to converge, so nothing is there to be cured"

    measure = of_spreads if row in SPREADS else _share_of_low
    sizes = small.settings.spread_looks[-1:]
    doubtful = doubt_of_pretraining(small, list(variants.values()))
    settle(
        conclude,
        small,
        row,
        variants,
        measure,
        sizes=sizes,
        ratio=row in SPREADS,
        doubtful=doubtful,
        reasons=converged,
    )


def _share_of_low(groups: Sequence[Array], level: float) -> Interval:
    """Share of outliers that lie below; anything where there is none."""
    found = low_outliers(groups, level=level)
    return found[0] if found else Interval(0.5, 0.0, 1.0)
