"""The Berkeley report's trained claims, SL2 to SL8."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bench.conftest import Conclude
from bench.measure.session import Lab
from bench.small_models.lab import Distilled, SmallModelsLab, Variant
from bench.small_models.rows import AHEAD, BASELINE, MINI, SAME, ahead, networks, of_protocol, settle, spreads
from bench.verdict.arithmetic import by_arithmetic, exactly
from bench.verdict.documents import Interval
from bench.verdict.regions import GROWS, Region
from bench.verdict.seeds import contrast, difference, low_outliers
from models.t5 import NOTHING, OWN, FeedForward, build, collapse

PAPER_SCALE = "paper-t5"
TWO_THIRDS = Region(2 / 3 - 0.05, 2 / 3 + 0.05)
CHAINS = {
    "1W": FeedForward(1),
    "1W-ReLU": FeedForward(1, relu=True),
    "2W": FeedForward(2),
    "3W": FeedForward(3),
    "3W-2x": FeedForward(3, expansion=2),
    "3W-1.5x": FeedForward(3, expansion=1.5),
    "3W-1.2x": FeedForward(3, expansion=1.2),
}
WIDER = {
    "1.5x-heads": replace(MINI, heads=12),
    "2x-head-size": replace(MINI, head_width=64),
    "both": replace(MINI, heads=12, head_width=64),
}


@pytest.mark.claim("SL2")
@pytest.mark.parametrize("row", ["SL2-parameters", "SL2-operations"])
def test_feed_forward_is_two_thirds(lab: Lab, conclude: Conclude, row: str) -> None:
    """Share of T5-Mini without embeddings that goes with its networks, by arithmetic."""
    without = MINI.with_feed_forward(NOTHING)
    if row.endswith("parameters"):
        sizes = [shape.parameters(embeddings=False) for shape in (MINI, without)]
    else:
        sizes = [replace(shape, vocabulary=0).operations(128, 128) for shape in (MINI, without)]
    what = f"share of {row.removeprefix('SL2-')} that removing every FFN saves"
    conclude(row, what, exactly(1 - sizes[1] / sizes[0]), TWO_THIRDS, origin=by_arithmetic(lab, "T5 mini"))


@pytest.mark.claim("SL2")
@pytest.mark.parametrize("row, encoder, decoder", [("SL2-skip", NOTHING, NOTHING), ("SL2-skip-encoder", NOTHING, OWN)])
def test_removing_networks_costs(
    small: SmallModelsLab, conclude: Conclude, row: str, encoder: FeedForward, decoder: FeedForward
) -> None:
    removed = of_protocol(small, networks(encoder, decoder))
    ahead(conclude, small, row, ("baseline", BASELINE), ("without", removed))


@pytest.mark.claim("SL3")
@pytest.mark.parametrize("row", ["SL3-2x-over-1x", "SL3-4x-over-2x", "SL3-falling-returns"])
def test_longer_training(small: SmallModelsLab, conclude: Conclude, row: str) -> None:
    """Pre-training for two and four times the protocol's steps."""
    runs = {
        name: replace(BASELINE, pretraining_factor=factor) for name, factor in (("1x", 1.0), ("2x", 2.0), ("4x", 4.0))
    }
    groups = {name: small.accuracy(variant) for name, variant in runs.items()}
    if row == "SL3-falling-returns":
        found = contrast(list(groups.values()), [-1, 2, -1])
        settle(conclude, small, row, "points of the first doubling over the second", found, accept=AHEAD, variants=runs)
        return
    more, less = row.removeprefix("SL3-").split("-over-")
    ahead(conclude, small, row, (more, runs[more]), (less, runs[less]))


@pytest.mark.claim("SL4")
@pytest.mark.parametrize("row", [f"SL4-{name}" for name in WIDER])
def test_more_or_larger_heads(small: SmallModelsLab, conclude: Conclude, row: str) -> None:
    name = row.removeprefix("SL4-")
    wider = of_protocol(small, Variant("mini", WIDER[name]))
    ahead(conclude, small, row, (name, wider), ("baseline", BASELINE))


@pytest.mark.claim("SL5")
@pytest.mark.parametrize("row", ["SL5-3W-over-2W", "SL5-2W-over-1W", "SL5-1W-over-1W-ReLU"])
def test_more_matrices_train_better(small: SmallModelsLab, conclude: Conclude, row: str) -> None:
    names = row.removeprefix("SL5-").split("-over-")
    first, second = ((name, of_protocol(small, networks(CHAINS[name]))) for name in names)
    ahead(conclude, small, row, first, second)


ROUNDING = Region(high=1e-4)
"""Of logits' size, float32: some twenty products one after the other, each off by 6e-8 of its terms."""


@pytest.mark.claim("SL5")
@pytest.mark.parametrize("row", ["SL5-collapse-2W", "SL5-collapse-3W"])
@torch.no_grad()
def test_chains_collapse_exactly(lab: Lab, conclude: Conclude, row: str) -> None:
    """Largest change of a logit after the collapse, over the largest logit: T5-Mini with random weights."""
    shape = replace(MINI, vocabulary=512).with_feed_forward(CHAINS[row.removeprefix("SL5-collapse-")])
    model = build(shape, seed=lab.settings.seed).eval()
    tokens = torch.randint(512, (2, 32), generator=torch.Generator().manual_seed(lab.settings.seed))
    before = model(input_ids=tokens, decoder_input_ids=tokens).logits
    count = sum(parameter.numel() for parameter in model.parameters())
    collapse(model)
    change = float((model(input_ids=tokens, decoder_input_ids=tokens).logits - before).abs().max() / before.abs().max())
    left = sum(parameter.numel() for parameter in model.parameters()) / count
    what = "largest change of a logit over the largest logit when each chain becomes one matrix"
    origin = by_arithmetic(lab, "T5 mini")
    conclude(row, what, exactly(change), ROUNDING, details={"parameters_left": left}, origin=origin)


@pytest.mark.claim("SL6")
@pytest.mark.parametrize("row", ["SL6-4x-same-as-2x", "SL6-2x-over-1.5x", "SL6-1.5x-over-1.2x"])
def test_expansion_in_training(small: SmallModelsLab, conclude: Conclude, row: str) -> None:
    names = {"4x": "3W", "2x": "3W-2x", "1.5x": "3W-1.5x", "1.2x": "3W-1.2x"}
    same = "-same-as-" in row
    parts = row.removeprefix("SL6-").split("-same-as-" if same else "-over-")
    first, second = ((part, of_protocol(small, networks(CHAINS[names[part]]))) for part in parts)
    ahead(conclude, small, row, first, second, accept=SAME if same else AHEAD)


TABLE_4_6 = {
    ("mini", "small"): Distilled("small", 0.1, 3.0),
    ("mini", "base"): Distilled("base", 0.9, 4.0),
    ("tiny", "small"): Distilled("small", 0.1, 2.0),
    ("tiny", "base"): Distilled("base", 0.9, 4.0),
}
"""(α, T) of each student and teacher. They differ between the teachers, so a control has Small's with Base too."""


@pytest.mark.claim("SL7")
@pytest.mark.parametrize("student", ["mini", "tiny"])
@pytest.mark.parametrize("row", ["SL7-spread", "SL7-mean", "SL7-spread-equal-settings"])
def test_teacher_close_in_size(small: SmallModelsLab, conclude: Conclude, row: str, student: str) -> None:
    near = Variant(student, distilled=TABLE_4_6[student, "small"])
    far = Variant(student, distilled=TABLE_4_6[student, "base"])
    if row.endswith("equal-settings"):
        far = Variant(student, distilled=replace(TABLE_4_6[student, "small"], teacher="base"))
    variants = {f"Base to {student}": far, f"Small to {student}": near}
    groups = [small.accuracy(variant, spread=True) for variant in variants.values()]
    if row == "SL7-mean":
        what, accept = "points of the near teacher's student over the far one's", SAME
        found, note = difference(*groups[::-1]), ""
    else:
        what, accept = "standard deviation over seeds, far teacher over near", GROWS
        found, note = spreads(groups)
    settle(
        conclude,
        small,
        f"{row}-{student}",
        what,
        found,
        accept=accept,
        variants=variants,
        spread=True,
        teachers=True,
        note=note,
    )


@pytest.mark.claim("SL8")
@pytest.mark.parametrize("row", ["SL8-spread", "SL8-outliers-low"])
def test_longer_warm_up(small: SmallModelsLab, conclude: Conclude, row: str) -> None:
    """T5's level warm-up against a linear one twice as long (§4.1: 10,000 and 20,000 steps)."""
    warmup = small.protocol.pretraining.warmup
    linear = replace(BASELINE, schedule="inverse-sqrt", warmup=2 * warmup)
    variants = {"level warm-up": BASELINE, "linear warm-up": linear}
    groups = [small.accuracy(variant, spread=True) for variant in variants.values()]
    if row == "SL8-spread":
        what, (found, note) = "standard deviation over seeds, level warm-up over linear", spreads(groups)
        settle(conclude, small, row, what, found, accept=GROWS, variants=variants, spread=True, note=note)
        return
    outliers = low_outliers(groups)
    note = "" if outliers else f"no run of {sum(map(len, groups))} is an outlier; an unsteadier model would show some"
    share, count = outliers or (Interval(0.5, 0.0, 1.0), 0)
    what = f"share of {count} outliers that lie below"
    accept = Region(low=0.5)
    settle(conclude, small, row, what, share, accept=accept, variants=variants, spread=True, note=note)
