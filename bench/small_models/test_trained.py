"""The Berkeley report's trained claims, SL2 to SL8."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bench.fixtures import Conclude
from bench.measure.session import Session
from bench.parameters import parameters
from bench.small_models.lab import SmallModels
from bench.small_models.rows import AHEAD, BASELINE, MINI, SAME, ahead, networks, settle, settle_ahead, spreads
from bench.small_models.variants import Distilled, Variant
from bench.verdict.conclude import exactly
from bench.verdict.documents import Interval
from bench.verdict.regions import GROWS, Region
from bench.verdict.rows import Row
from bench.verdict.seeds import contrast, difference, low_outliers
from models.t5 import NOTHING, OWN, FeedForward, build, collapse

PAPER_SCALE = "paper-t5"
pytestmark = [
    pytest.mark.cost(fixture="small", embedded=(2, 0, 120), gpu=(10, 200, 1600)),
    pytest.mark.cost(of=Variant, embedded=(2, 0, 120), gpu=(10, 200, 1600)),
]
"""Five seeds of a model, pre-trained and tuned; every row needs tiny and mini, of which the first is no contestant."""
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


LONGER = {
    name: replace(BASELINE, pretraining_factor=factor) for name, factor in (("1x", 1.0), ("2x", 2.0), ("4x", 4.0))
}
MEANS = [
    ahead("SL2a", "SL2-skip", BASE, ("without", networks(NOTHING, NOTHING))),
    ahead("SL2d", "SL2-skip-encoder", BASE, ("without", networks(NOTHING, OWN))),
    ahead("SL3a", "SL3-2x-over-1x", ("2x", LONGER["2x"]), ("1x", LONGER["1x"])),
    ahead("SL3a", "SL3-4x-over-2x", ("4x", LONGER["4x"]), ("2x", LONGER["2x"])),
    ahead("SL4a", "SL4-1.5x-heads", ("1.5x-heads", Variant("mini", replace(MINI, heads=12))), BASE),
    ahead("SL4a", "SL4-2x-head-size", ("2x-head-size", Variant("mini", replace(MINI, head_width=64))), BASE),
    ahead("SL4a", "SL4-both", ("both", Variant("mini", replace(MINI, heads=12, head_width=64))), BASE),
    ahead("SL5a", "SL5-3W-over-2W", chain("3W"), chain("2W")),
    ahead("SL5b", "SL5-2W-over-1W", chain("2W"), chain("1W")),
    ahead("SL5c", "SL5-1W-over-1W-ReLU", chain("1W"), chain("1W-ReLU")),
    ahead("SL6a", "SL6-4x-same-as-2x", chain("4x"), chain("2x"), accept=SAME),
    ahead("SL6b", "SL6-2x-over-1.5x", chain("2x"), chain("1.5x")),
    ahead("SL6c", "SL6-1.5x-over-1.2x", chain("1.5x"), chain("1.2x")),
]


@pytest.mark.parametrize("row", parameters(*MEANS))
def test_one_model_ahead_of_another(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Tables 4.1 to 4.5: mean accuracy of one model less another's, over seeds."""
    settle_ahead(conclude, small, row)


RETURNS = Row(
    "SL3-falling-returns",
    "SL3a",
    "points of the first doubling over the second",
    AHEAD,
    "falling, however little",
    tuple(LONGER.values()),
)


@pytest.mark.parametrize("row", parameters(RETURNS))
def test_returns_of_longer_training_fall(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Pre-training for two and four times the protocol's steps."""
    groups = [small.accuracy(variant) for variant in LONGER.values()]
    settle(conclude, small, row, contrast(groups, [-1, 2, -1]), LONGER)


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


TABLE_4_6 = {
    ("mini", "small"): Distilled("small", 0.1, 3.0),
    ("mini", "base"): Distilled("base", 0.9, 4.0),
    ("tiny", "small"): Distilled("small", 0.1, 2.0),
    ("tiny", "base"): Distilled("base", 0.9, 4.0),
}
"""(α, T) of each student and teacher. They differ between the teachers, so a control has Small's with Base too."""


def students(student: str, *, equal: bool = False) -> tuple[tuple[str, Variant], ...]:
    """Students of the far teacher and of the near one."""
    far = replace(TABLE_4_6[student, "small"], teacher="base") if equal else TABLE_4_6[student, "base"]
    near = TABLE_4_6[student, "small"]
    return (
        (f"Base to {student}", Variant(student, distilled=far)),
        (f"Small to {student}", Variant(student, distilled=near)),
    )


SPREAD = "standard deviation over seeds, far teacher over near"
TEACHERS = [
    row
    for student in ("mini", "tiny")
    for row in (
        Row(
            f"SL7-mean-{student}",
            "SL7a",
            "points of the near teacher's student over the far one's",
            SAME,
            "the report's own differences between them are 0.0 and 0.1",
            students(student),
        ),
        Row(f"SL7-spread-{student}", "SL7b", SPREAD, GROWS, "cut, however little", students(student)),
        Row(
            f"SL7-spread-equal-settings-{student}",
            "SL7b",
            SPREAD,
            GROWS,
            "the same α and T with both teachers",
            students(student, equal=True),
            control=True,
        ),
    )
]


@pytest.mark.cost(shared="teachers small and base", embedded=(4, 0, 300), gpu=(20, 500, 4000))
@pytest.mark.cost(of=Variant, embedded=(3, 0, 240), gpu=(15, 400, 3200))
@pytest.mark.parametrize("row", parameters(*TEACHERS))
def test_teacher_close_in_size(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """Table 4.6: a teacher close in size keeps the mean and cuts the spread over seeds."""
    variants: dict[str, Variant] = dict(row.contestants)  # type: ignore[arg-type]
    groups = [small.accuracy(variant, spread=True) for variant in variants.values()]
    interval, note = (difference(*groups[::-1]), "") if row.part == "a" else spreads(groups)
    settle(conclude, small, row, interval, variants, spread=True, teachers=True, note=note)


WARM_UP = Row(
    "SL8-spread",
    "SL8a",
    "standard deviation over seeds, level warm-up over linear",
    GROWS,
    "cut, however little",
)
OUTLIERS = Row(
    "SL8-outliers-low", "SL8b", "share of outliers that lie below", Region(low=0.5), "low more often than high"
)


@pytest.mark.cost(shared="ten seeds of both warm-ups", embedded=(4, 0, 480), gpu=(30, 800, 6400))
@pytest.mark.parametrize("row", parameters(WARM_UP, OUTLIERS))
def test_longer_warm_up(small: SmallModels, conclude: Conclude, row: Row) -> None:
    """T5's level warm-up against a linear one twice as long (§4.1: 10,000 and 20,000 steps)."""
    linear = replace(BASELINE, schedule="inverse-sqrt", warmup=2 * small.settings.pretraining.warmup)
    variants = {"level warm-up": BASELINE, "linear warm-up": linear}
    groups = [small.accuracy(variant, spread=True) for variant in variants.values()]
    if row is WARM_UP:
        interval, note = spreads(groups)
    else:
        outliers, runs = low_outliers(groups), sum(map(len, groups))
        note = "" if outliers else f"no run of {runs} is an outlier; an unsteadier model would show some"
        interval, _ = outliers or (Interval(0.5, 0.0, 1.0), 0)
    settle(conclude, small, row, interval, variants, spread=True, note=note)
