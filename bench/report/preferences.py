"""Section of the survey's page on preference distillation: accuracy and loss by way of tuning."""

from __future__ import annotations

import math
from typing import Any

from bench.report.tables import table
from bench.verdict.evidence import Evidence


def section(evidence: Evidence) -> list[str]:
    """Section with a line for each student; none where no student was tuned."""
    known: dict[str, dict[str, Any]] = {}
    for row in evidence.rows.values():
        known |= row.details.get("preferences") or {}
    if not known:
        return []
    lines = [[name, *_numbers(of)] for name, of in sorted(known.items())]
    return [
        "## Preference distillation\n\nA student of a larger model that was trained on the same text. It is tuned on "
        "the teacher's continuations first, then\neither as long again (supervised), or by direct preference "
        "optimization on pairs that the teacher scored\n(preferences), each at the rate that is best on held-out ones. "
        "Pairs of sums have a right and a wrong answer. This\nsays whether the method moves a student towards a "
        "teacher's ranking of unseen pairs; of alignment, chat and people's\njudgment it can say nothing.\n\n"
        + table(
            lines, ["student", "pairs moved the right way", "pairs ranked so", "perplexity of preferred continuations"]
        )
    ]


def _numbers(of: dict[str, Any]) -> list[str]:
    loss = of.get("loss")
    return [f"{of['moved']:.1%}", f"{of['accuracy']:.1%}", "–" if loss is None else f"{math.exp(loss):.4g}"]
