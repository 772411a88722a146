"""The Berkeley report's trained claims on chains of matrices in the networks' place, SL5 and SL6."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bench.fixtures import Conclude
from bench.measure.session import Session
from bench.parameters import parameters
from bench.small_models.lab import SmallModels
from bench.small_models.rates import AT_OWN, settle_at_own_rates
from bench.small_models.rows import BASELINE, MINI, SAME, ahead, networks, of_difference, settle_ahead
from bench.small_models.variants import Variant
from bench.verdict.conclude import exactly
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from models.t5 import FeedForward, build, collapse

PAPER_SCALE = "paper-t5"
pytestmark = [
    pytest.mark.cost(fixture="small", embedded=(10, 0, 500), gpu=(10, 200, 1600)),
    pytest.mark.cost(of=Variant, embedded=(3, 0, 400), gpu=(10, 200, 1600)),
]
"""Twenty seeds of a model at most, pre-trained and tuned; every row needs tiny and mini."""
BASE = ("baseline", BASELINE)
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


SHORTER = (("SL5a", "3W", "2W"), ("SL5b", "2W", "1W"), ("SL5c", "1W", "1W-ReLU"))
AT_ONE_RATE = [
    *(ahead(of, f"SL5-{one}-over-{other}", chain(one), chain(other), control=True) for of, one, other in SHORTER),
    *(ahead("SL5a", f"SL5-baseline-over-{name}", BASE, chain(name), control=True) for name in ("1W", "3W")),
]
"""At the protocol's rates."""
NO_BETTER = Region(high=SAME.high)
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


@pytest.mark.parametrize("row", parameters(*AT_ONE_RATE))
def test_one_chain_ahead_of_another_at_one_rate(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Table 4.4: mean accuracy of one model less another's, over seeds."""
    settle_ahead(conclude, small, row)


@pytest.mark.cost(of=Variant, how=AT_OWN, embedded=(8, 0, 900), gpu=(20, 700, 3000))
@pytest.mark.parametrize("row", parameters(*CHAINED))
def test_one_chain_ahead_of_another(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Tables 4.4 and 4.5, each chain at the rates by which it learns best: longer ones want others."""
    if small.session.settings.scale.startswith("paper"):  # which has the paper's own rates
        settle_ahead(conclude, small, row)
    else:
        settle_at_own_rates(conclude, small, row, of_difference)


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
