"""The Berkeley report's trained claims on skipped networks, longer training and heads, SL2 to SL4."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.small_models.lab import SmallModels
from bench.small_models.printed import COST_ENCODER, COST_SKIP
from bench.small_models.rates import AT_OWN, settle_at_own_rates
from bench.small_models.rows import (
    BASELINE,
    MINI,
    Of,
    ahead,
    doubt_of_pretraining,
    networks,
    settle,
    settle_ahead,
    variants_of,
)
from bench.small_models.variants import Variant
from bench.verdict.conclude import exactly
from bench.verdict.documents import Array, Interval
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from bench.verdict.seeds import contrast, share_lost
from models.t5 import NOTHING, OWN

PAPER_SCALE = "paper-t5"
PRETRAINING_SHARE = 0.2
"""Of a model's steps, by the embedded protocol."""


def steps_trained(variant: Variant) -> float:
    """Steps of a variant's pre-training and fine-tuning over those of the protocol."""
    return 1 + PRETRAINING_SHARE * (variant.pretraining_factor - 1)


pytestmark = [
    pytest.mark.cost(fixture="small", embedded=(10, 0, 500), gpu=(10, 200, 1600)),
    pytest.mark.cost(of=Variant, times=steps_trained, embedded=(3, 0, 400), gpu=(10, 200, 1600)),
]
"""Twenty seeds of a model at most, pre-trained and tuned; every row needs tiny and mini."""
TWO_THIRDS = Region(2 / 3 - 0.05, 2 / 3 + 0.05)
SAVED = [
    Row(f"SL2-{what}", of, f"share of {what} that removing every FFN saves", TWO_THIRDS, "two thirds, within 5 points")
    for of, what in (("SL2b", "parameters"), ("SL2c", "operations"))
]


@pytest.mark.parametrize("row", parameters(*SAVED))
def test_feed_forward_is_two_thirds(conclude: Conclude, row: Row) -> None:
    """Share of T5-Mini without embeddings that goes with its networks, by arithmetic."""
    without = MINI.with_feed_forward(NOTHING)
    if row.part == "b":
        sizes = [shape.parameters(embeddings=False) for shape in (MINI, without)]
    else:
        sizes = [replace(shape, vocabulary=0).operations(128, 128) for shape in (MINI, without)]
    conclude(row, exactly(1 - sizes[1] / sizes[0]), "T5 mini")


BASE = ("baseline", BASELINE)
WITHOUT, WITHOUT_ENCODERS = ("without", networks(NOTHING, NOTHING)), ("without the encoder's", networks(NOTHING, OWN))
COSTS = [
    Row(
        name,
        of,
        f"share of the distance to chance that a model {without[0]} networks loses",
        Region(high=2 * cost),
        f"twice what Table 4.1 shows, {cost:.1%}, with chance at a third",
        (BASE, without),
    )
    for name, of, without, cost in (
        ("SL2-skip", "SL2a", WITHOUT, COST_SKIP),
        ("SL2-skip-encoder", "SL2d", WITHOUT_ENCODERS, COST_ENCODER),
    )
]


COSTS_AT_OWN = [replace(row, name=f"{row.name}-at-own-rates") for row in COSTS]


def of_distance(small: SmallModels) -> Of:
    """Share that the second loses of the first's distance to chance."""

    def share(groups: Sequence[Array], level: float) -> Interval:
        try:
            return share_lost(*groups, floor=small.floor, level=level)
        except ValueError:  # nothing was learned, so there is nothing to lose; the instrument says so
            return Interval(0.0, -math.inf, math.inf)

    return share


@pytest.mark.parametrize("row", parameters(*COSTS))
def test_networks_can_be_skipped_at_little_cost(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Table 4.1: what removing the networks costs, of the distance to chance."""
    settle(conclude, small, row, variants_of(row), of_distance(small))


@pytest.mark.cost(of=Variant, how=AT_OWN, embedded=(8, 0, 900), gpu=(20, 700, 3000))
@pytest.mark.parametrize("row", parameters(*COSTS_AT_OWN))
def test_networks_can_be_skipped_at_rates_of_their_own(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Table 4.1, each model at the rates by which it learns best: at one for all, some learn worse than they can."""
    if small.session.settings.scale.startswith("paper"):
        pytest.skip("the paper's own rates are the paper's; run without --scale=paper")
    settle_at_own_rates(conclude, small, row, of_distance(small))


LONGER = {f"{factor}x": Variant("mini", pretraining_factor=float(factor)) for factor in (1, 2, 4, 10)}
HEADS = (
    ("1.5x-heads", replace(MINI, heads=12)),
    ("2x-head-size", replace(MINI, head_width=64)),
    ("both", replace(MINI, heads=12, head_width=64)),
)
MORE = [
    ahead("SL3a", f"SL3-{more}-over-{less}", (more, LONGER[more]), (less, LONGER[less]))
    for less, more in (("1x", "2x"), ("2x", "4x"), ("4x", "10x"))
]
MEANS = [
    ahead("SL2a", "SL2-skip-points", BASE, WITHOUT, control=True),
    ahead("SL2d", "SL2-encoder-costs-less", WITHOUT_ENCODERS, WITHOUT, control=True),
    *(ahead("SL4a", f"SL4-{name}", (name, Variant("mini", shape)), BASE) for name, shape in HEADS),
]


@pytest.mark.parametrize("row", parameters(*MEANS))
def test_one_model_ahead_of_another(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Tables 4.1 to 4.5: mean accuracy of one model less another's, over seeds."""
    settle_ahead(conclude, small, row)


@pytest.mark.parametrize("row", parameters(*MORE))
def test_longer_pre_training(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Table 4.2: mean accuracy after longer pre-training less that after shorter, where pre-training helps at all."""
    settle_ahead(conclude, small, row, doubtful=doubt_of_pretraining(small, [BASELINE]))


RETURNS = Row(
    "SL3-falling-returns",
    "SL3a",
    "points of the first doubling over those per doubling from four to ten times",
    Region(low=0.0),
    "falling, however little",
    tuple(LONGER.items()),
)
DOUBLINGS = math.log2(10 / 4)


@pytest.mark.parametrize("row", parameters(RETURNS))
def test_returns_of_longer_training_fall(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Pre-training for one, two, four and ten times the protocol's steps (Table 4.2)."""
    weights = [-1, 1, 1 / DOUBLINGS, -1 / DOUBLINGS]
    doubtful = doubt_of_pretraining(small, [BASELINE])
    settle(
        conclude,
        small,
        row,
        LONGER,
        lambda groups, level: contrast(groups, weights, level=level),
        doubtful=doubtful,
    )
