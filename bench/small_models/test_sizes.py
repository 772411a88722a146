"""Exploring the Limits of Small Language Models. Claims SL1, SL9 and SL10: sizes, parameter columns, latency."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.fixtures import Conclude
from bench.measure.session import Session
from bench.measure.timing import Action, Timing
from bench.parameters import parameters
from bench.small_models.printed import MILLION, ROWS, SIZES, USUAL_HEAD_WIDTH, counted
from bench.verdict.conclude import exactly
from bench.verdict.regions import GROWS, Region
from bench.verdict.rows import Row
from models.t5 import TABLE_3_1, T5Shape

PAPER_SCALE = "paper-t5"
PRINTED = Region(0.97, 1.03)
MOST_OFF = 0.01
"""Largest relative error of a parameter count printed to five digits."""
LIMIT = 1024
"""Tokens below which the feed-forward network dominates (§2.2)."""
BERT_BASE = T5Shape(12, 0, inner=3072, width=768, head_width=64, heads=12)
TABLE = [
    Row(
        f"SL1-{name}{'-heads-of-64' if usual else ''}",
        "SL1a",
        f"parameters with heads of {USUAL_HEAD_WIDTH if usual else TABLE_3_1[name].head_width} over the printed "
        f"{SIZES[name]:g}M",
        PRINTED,
        "the loosest rounding among the four sizes of Table 3.1 is 2.7 %",
        (name, USUAL_HEAD_WIDTH if usual else TABLE_3_1[name].head_width),
        control=usual,
    )
    for name in SIZES
    for usual in (False, True)
]


@pytest.mark.parametrize("row", parameters(*TABLE))
def test_sizes_of_table_3_1(conclude: Conclude, row: Row) -> None:
    """Parameters by arithmetic over those printed, with the printed head width and with the published models' own."""
    name, width = row.contestants
    size = T5Shape(**{**vars(TABLE_3_1[str(name)]), "head_width": width}).parameters() / MILLION
    conclude(row, exactly(size / SIZES[str(name)]), f"T5 {name}", details={"parameters": size * MILLION})


COLUMNS = Row(
    "SL9-parameter-columns",
    "SL9a",
    f"rows of {len(ROWS)} that arithmetic does not give",
    Region(high=0.0),
    "printed to five digits; 1 % off is another model",
)


@pytest.mark.parametrize("row", parameters(COLUMNS))
def test_parameter_columns(conclude: Conclude, row: Row) -> None:
    """Rows of Tables 4.1–4.5 whose parameters Table 3.1 does not give to one percent."""
    table = {entry.name: [entry.parameters, round(counted(entry), 3)] for entry in ROWS}
    wrong = sum(abs(value / printed - 1) > MOST_OFF for printed, value in table.values())
    conclude(row, exactly(wrong), "T5 mini", details={"columns": table})


def attention(weights: list[Tensor], hidden: Tensor) -> Tensor:
    """The four projections and the products between them of one layer, `[tokens, width]` -> `[tokens, width]`."""
    query, key, value = (
        functional.linear(hidden, weight).unflatten(-1, (BERT_BASE.heads, -1)).transpose(0, 1) for weight in weights[:3]
    )
    mixed = functional.scaled_dot_product_attention(query, key, value)
    return functional.linear(mixed.transpose(0, 1).flatten(1), weights[3])


def _halves(seed: int, device: str, tokens: int) -> tuple[Action, Action]:
    """The feed-forward network of a BERT-Base layer, and its attention."""
    generator, width = torch.Generator().manual_seed(seed), BERT_BASE.width
    weights = [torch.randn(width, width, generator=generator).div_(width**0.5).to(device) for _ in range(4)]
    hidden = torch.randn(tokens, width, generator=generator).to(device)
    network = nn.Sequential(nn.Linear(width, BERT_BASE.inner), nn.GELU(), nn.Linear(BERT_BASE.inner, width)).to(device)
    return lambda: network(hidden), lambda: attention(weights, hidden)


LATENCY = [
    Row(
        f"SL10-{tokens}",
        "SL10a",
        "time of the feed-forward network over that of attention",
        GROWS if tokens < LIMIT else Region(high=1.0),
        "half the layer's time is a ratio of 1" if tokens < LIMIT else "past the limit attention must take more",
        (tokens,),
        control=tokens > LIMIT,
    )
    for tokens in (128, 512, 896, 2048)
]


@pytest.mark.parametrize("row", parameters(*LATENCY))
def test_feed_forward_dominates_short_sequences(session: Session, conclude: Conclude, row: Row) -> None:
    """Time of the feed-forward network of a BERT-Base layer over that of its whole attention, measured in turn."""
    tokens, quick = int(str(row.contestants[0])), session.settings.effort == "quick"
    if quick and tokens > LIMIT:
        pytest.skip("the control takes longer than the claim; use --effort=normal")
    timing = Timing(session, f"one BERT-Base layer at {tokens} tokens", 12 if quick or tokens > LIMIT else 40)
    interval = timing.ratio(partial(_halves, session.settings.seed, session.settings.device, tokens))
    conclude(row, interval, timing, decide="more rounds", doubt=timing.doubt())
