"""The numbers that the Berkeley report prints of its T5 models, and the arithmetic that should give them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.t5 import NOTHING, OWN, TABLE_3_1, FeedForward, T5Shape

MILLION = 1e6
SIZES = {"tiny": 16.0, "mini": 31.0, "small": 60.0, "base": 220.0}
"""Table 3.1, millions of parameters."""
USUAL_HEAD_WIDTH = 64
"""Head width of the published T5 models; the report prints 32 for all but Base."""


@dataclass(frozen=True)
class TableRow:
    """A row of Tables 4.1–4.5, all of them of T5-Mini."""

    name: str
    shape: T5Shape
    parameters: float
    """Millions, as printed; embeddings left out, as the baseline's size shows."""


MINI = TABLE_3_1["mini"]
ROWS = (
    TableRow("baseline", MINI, 15.351),
    TableRow("skip FFN", MINI.with_feed_forward(NOTHING), 5.907),
    TableRow("skip encoder FFN", MINI.with_feed_forward(NOTHING, OWN), 10.629),
    TableRow("1.5x heads", replace(MINI, heads=12), 16.530),
    TableRow("2x head size", replace(MINI, head_width=64), 16.530),
    TableRow("1.5x heads, 2x head size", replace(MINI, heads=12, head_width=64), 18.273),
    TableRow("1W", MINI.with_feed_forward(FeedForward(1)), 10.626),
    TableRow("1W + ReLU", MINI.with_feed_forward(FeedForward(1, relu=True)), 10.626),
    TableRow("2W and 3W, collapsed", MINI.with_feed_forward(FeedForward(1)), 10.626),
)


def counted(row: TableRow) -> float:
    """A row's parameters by Table 3.1, without embeddings, millions."""
    return row.shape.parameters(embeddings=False) / MILLION


CHANCE = 100 / 3
"""Percent right by chance among MNLI's three answers."""
BASELINE_RIGHT, SKIPPED_RIGHT, ENCODER_SKIPPED_RIGHT = 78.2, 75.5, 76.1
"""Table 4.1, percent."""
COST_SKIP = (BASELINE_RIGHT - SKIPPED_RIGHT) / (BASELINE_RIGHT - CHANCE)
"""Share of its distance to chance that T5-Mini loses without networks."""
COST_ENCODER = (BASELINE_RIGHT - ENCODER_SKIPPED_RIGHT) / (BASELINE_RIGHT - CHANCE)
"""Share that it loses without its encoder's."""


@dataclass(frozen=True)
class Pair:
    """A student and a teacher of Table 4.6."""

    student: str
    teacher: str
    alpha: float
    temperature: float


TABLE_4_6 = (
    Pair("mini", "small", 0.1, 3.0),
    Pair("mini", "base", 0.9, 4.0),
    Pair("tiny", "small", 0.1, 2.0),
    Pair("tiny", "base", 0.9, 4.0),
)
