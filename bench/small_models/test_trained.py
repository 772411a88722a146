"""The Berkeley report's trained claims on networks, heads and longer training, SL2 to SL6."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from bench.fixtures import Conclude
from bench.measure.session import Session
from bench.parameters import parameters
from bench.small_models.lab import SmallModels
from bench.small_models.printed import COST_ENCODER, COST_SKIP
from bench.small_models.rates import OwnRates, tried_at
from bench.small_models.rows import (
    BASELINE,
    MINI,
    SAME,
    ahead,
    doubt,
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
from models.t5 import NOTHING, OWN, FeedForward, build, collapse

PAPER_SCALE = "paper-t5"
PRETRAINING_SHARE = 0.2
"""Of a model's steps, by the embedded protocol."""


def steps_trained(variant: Variant) -> float:
    """Steps of a variant's pre-training and fine-tuning over those of the protocol."""
    return 1 + PRETRAINING_SHARE * (variant.pretraining_factor - 1)


pytestmark = [
    pytest.mark.cost(fixture="small", embedded=(10, 0, 300), gpu=(10, 200, 1600)),
    pytest.mark.cost(of=Variant, times=steps_trained, embedded=(3, 0, 300), gpu=(10, 200, 1600)),
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


@pytest.mark.parametrize("row", parameters(*COSTS))
def test_networks_can_be_skipped_at_little_cost(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Table 4.1: what removing the networks costs, of the distance to chance."""

    def share(groups: Sequence[Array], level: float) -> Interval:
        try:
            return share_lost(*groups, floor=small.floor, level=level)
        except ValueError:  # nothing was learned, so there is nothing to lose; the instrument says so
            return Interval(0.0, -math.inf, math.inf)

    settle(conclude, small, row, variants_of(row), share)


CHAINS = {
    "1W": FeedForward(1),
    "1W-ReLU": FeedForward(1, relu=True),
    "2W": FeedForward(2),
    "3W": FeedForward(3),
    "2x": FeedForward(3, expansion=2),
    "1.5x": FeedForward(3, expansion=1.5),
    "1.2x": FeedForward(3, expansion=1.2),
}
CHAINS["4x"] = CHAINS["3W"]


def chain(name: str) -> tuple[str, Variant]:
    """Mini with chains of matrices in its networks' place."""
    return name, networks(CHAINS[name])


LONGER = {f"{factor}x": Variant("mini", pretraining_factor=float(factor)) for factor in (1, 2, 4, 10)}
HEADS = (
    ("1.5x-heads", replace(MINI, heads=12)),
    ("2x-head-size", replace(MINI, head_width=64)),
    ("both", replace(MINI, heads=12, head_width=64)),
)
SHORTER = (("SL5a", "3W", "2W"), ("SL5b", "2W", "1W"), ("SL5c", "1W", "1W-ReLU"))
MORE = [
    ahead("SL3a", f"SL3-{more}-over-{less}", (more, LONGER[more]), (less, LONGER[less]))
    for less, more in (("1x", "2x"), ("2x", "4x"), ("4x", "10x"))
]
NO_BETTER = Region(high=SAME.high)
MEANS = [
    ahead("SL2a", "SL2-skip-points", BASE, WITHOUT, control=True),
    ahead("SL2d", "SL2-encoder-costs-less", WITHOUT_ENCODERS, WITHOUT, control=True),
    *(ahead("SL4a", f"SL4-{name}", (name, Variant("mini", shape)), BASE) for name, shape in HEADS),
    *(ahead(of, f"SL5-{one}-over-{other}", chain(one), chain(other), control=True) for of, one, other in SHORTER),
    *(ahead("SL5a", f"SL5-baseline-over-{name}", BASE, chain(name), control=True) for name in ("1W", "3W")),
]
"""At the protocol's rates."""
CHAINED = [
    *(ahead(of, f"SL5-{one}-over-{other}-at-own-rates", chain(one), chain(other)) for of, one, other in SHORTER),
    ahead("SL5a", "SL5-baseline-over-3W-at-own-rates", BASE, chain("3W"), control=True),
    ahead(
        "SL6a",
        "SL6-4x-same-as-2x",
        chain("4x"),
        chain("2x"),
        accept=SAME,
        because="the report's own differences between them are 0.0 and 0.1",
    ),
    ahead("SL6b", "SL6-2x-over-1.5x", chain("2x"), chain("1.5x")),
    ahead("SL6c", "SL6-1.5x-over-1.2x", chain("1.5x"), chain("1.2x")),
    *(
        ahead(
            "SL6d",
            f"SL6-{name}-no-better-than-2W",
            chain(name),
            chain("2W"),
            accept=NO_BETTER,
            because="within the point that counts as the same, or worse",
        )
        for name in ("1.5x", "1.2x")
    ),
]


@pytest.mark.parametrize("row", parameters(*MEANS))
def test_one_model_ahead_of_another(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Tables 4.1 to 4.5: mean accuracy of one model less another's, over seeds."""
    settle_ahead(conclude, small, row)


@pytest.mark.cost(of=Variant, embedded=(8, 0, 900), gpu=(20, 1000, 4000))
@pytest.mark.parametrize("row", parameters(*CHAINED))
def test_one_chain_ahead_of_another(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Tables 4.4 and 4.5, each chain at the rates by which it learns best: longer ones want others."""
    of = small.session.settings
    variants = {name: small.resolved(variant) for name, variant in variants_of(row).items()}
    doubtful = doubt(small, list(variants.values()))
    if of.scale.startswith("paper"):  # which has the paper's own rates
        settle_ahead(conclude, small, row, doubtful=doubtful)
        return
    chains = OwnRates(small, tried_at(of.effort))
    looked = chains.settings.looks[0]
    settle_ahead(conclude, chains, row, doubtful=doubtful, reasons=lambda: chains.untried(variants, looked))


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


COLLAPSE = [
    Row(
        f"SL5-collapse-{name}",
        "SL5d",
        "largest change of a logit over the largest logit when each chain becomes one matrix",
        Region(high=1e-4),
        "float32: some twenty products one after the other, each off by 6e-8 of its terms",
        (name,),
    )
    for name in ("2W", "3W")
]


@pytest.mark.parametrize("row", parameters(*COLLAPSE))
@torch.no_grad()
def test_chains_collapse_exactly(session: Session, conclude: Conclude, row: Row) -> None:
    """Largest change of a logit after the collapse, over the largest logit: T5-Mini with random weights."""
    seed = session.settings.seed
    shape = replace(MINI, vocabulary=512).with_feed_forward(CHAINS[str(row.contestants[0])])
    model = build(shape, seed=seed).eval()
    tokens = torch.randint(512, (2, 32), generator=torch.Generator().manual_seed(seed))
    before = model(input_ids=tokens, decoder_input_ids=tokens).logits
    count = sum(parameter.numel() for parameter in model.parameters())
    collapse(model)
    change = float((model(input_ids=tokens, decoder_input_ids=tokens).logits - before).abs().max() / before.abs().max())
    left = sum(parameter.numel() for parameter in model.parameters()) / count
    conclude(row, exactly(change), "T5 mini", details={"parameters_left": left})
