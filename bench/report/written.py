"""`checkpoint.json`: everything that the sheets say, for programs; its schema lies beside this file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bench.report.sheets import Sheet, sheets_of
from bench.report.tables import region_of
from bench.verdict.documents import Interval
from bench.verdict.evidence import Evidence, Result
from bench.verdict.lines import clean
from bench.verdict.wording import verdict_word

FILE, SCHEMA = "checkpoint.json", 1


def checkpoint_json(evidence: Evidence) -> str:
    """Text of `checkpoint.json`; empty where no checkpoint was judged."""
    sheets = sheets_of(evidence)
    if not sheets:
        return ""
    ran = [row for sheet in sheets for row in sheet.rows if row.value is not None]
    about = ran[0] if ran else sheets[0].rows[0]
    content = {
        "schema": SCHEMA,
        "text": {"name": about.text, "sha256": about.text_sha256, "protocol": about.protocol},
        "effort": about.effort,
        "documents": about.documents,
        "outcome": overall([sheet.outcome for sheet in sheets]),
        "checkpoints": [_checkpoint(sheet) for sheet in sheets],
    }
    return json.dumps(clean(content), indent=1, ensure_ascii=False)


def overall(outcomes: Sequence[str]) -> str:
    """Outcome of all checkpoints together: the worst."""
    for word in ("not opened", "not cleared", "undecided"):
        if word in outcomes:
            return word
    return "cleared"


def _checkpoint(sheet: Sheet) -> dict[str, Any]:
    grade = sheet.grade
    shown = {name: value for name, value in sheet.details.items() if name not in ("measures", "growth", "refused")}
    growth = sheet.details.get("growth")
    return {
        "label": sheet.label,
        "outcome": sheet.outcome,
        "grade": grade.words if grade else None,
        "reason": sheet.reason,
        "bad_blocks": sheet.bad_blocks,
        "thresholds": [_threshold(row) for row in sheet.rows],
        "measures": {name: _interval(value) for name, value in sheet.measures.items()},
        "growth": _interval(Interval(*growth)) if growth else None,
        **shown,
    }


def _interval(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _threshold(row: Result) -> dict[str, Any]:
    region = region_of(row)
    return {
        "row": row.row,
        "statistic": row.statistic,
        "value": row.value,
        "low": row.low,
        "high": row.high,
        "at_least": row.accept_low if region else None,
        "at_most": row.accept_high if region else None,
        "outcome": verdict_word(row),
        "reason": row.reason,
    }
