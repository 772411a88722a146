"""The page of checkpoints that a user brought: verdicts, figures, bytes, and KL along the window."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.report import matrix
from bench.report.pages import Footnotes, View, common_notes, measured_on, rows_tables
from bench.report.plots import PALETTE, STYLE, WIDTH, label_ends, plain_log, tokens_axis
from bench.report.tables import table
from bench.verdict.evidence import Evidence, Result

CLAIM, PLOT = matrix.CHECKPOINT, "checkpoint-kl.png"
PLACES = ("on disk", "in memory")
TOO_FEW = 12
"""Documents below which the page warns that intervals are wide."""


def rows_of(evidence: Evidence) -> list[Result]:
    """Rows of the page."""
    return matrix.results_of(evidence, CLAIM)


def figures(evidence: Evidence) -> dict[str, Figure]:
    """KL along the window, a line a checkpoint; none where there is no such curve."""
    curves = {model: _curve(details) for model, details in _sheets(evidence).items()}
    curves = {model: curve for model, curve in curves.items() if len(curve) > 1}
    if not curves:
        return {}
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH * 0.75, 3), layout="constrained")
        axes = drawn.subplots()
        ends = []
        for colour, (model, curve) in zip(PALETTE * len(curves), curves.items(), strict=False):
            axes.plot(list(curve), list(curve.values()), marker="o", markersize=3.5, color=colour)
            last = max(curve)
            ends.append((last, curve[last], model, colour))
        ticks = sorted({place for curve in curves.values() for place in curve})
        tokens_axis(axes, ticks)
        if all(value > 0 for curve in curves.values() for value in curve.values()):
            axes.set_yscale("log")
            plain_log(axes, "y", [m * 10.0**power for power in range(-7, 3) for m in (1, 2, 5)])
        axes.set_xlim(ticks[0] * 0.93, ticks[-1] * (ticks[-1] / ticks[0]) ** 0.4)
        axes.set(xlabel="position, to the end of the bucket", ylabel="KL compressed‖dense, nats a token")
        drawn.draw_without_rendering()
        label_ends(axes, ends)
    return {PLOT: drawn}


def page(view: View, forest: str) -> str:
    """The page; empty where no checkpoint was judged."""
    rows, notes = rows_of(view.evidence), Footnotes()
    if not rows:
        return ""
    common = common_notes(view, rows)
    parts = ["# Checkpoints", " ".join(common.values()), _warning(rows)]
    if forest:
        parts.append(f"![estimate, interval and bound of every row]({forest})")
    for model in dict.fromkeys(row.model for row in rows):
        parts.append(f"## {model or 'not run'}")
        parts += rows_tables(view, [row for row in rows if row.model == model], notes, common)
    parts += [
        _columns(_sheets(view.evidence)),
        _along(view.evidence),
        measured_on(view.evidence, rows),
        notes.written(),
    ]
    return "\n\n".join(part for part in parts if part)


def _warning(rows: Sequence[Result]) -> str:
    few = [row.documents for row in rows if 0 < row.documents < TOO_FEW]
    if not few:
        return ""
    return f"Judged on {min(few)} documents: intervals this wide can hide damage. `--effort=thorough` reads more."


def _sheets(evidence: Evidence) -> dict[str, Mapping[str, Any]]:
    """Figures of every checkpoint, by its name."""
    return {row.model: row.details["checkpoint"] for row in rows_of(evidence) if row.details.get("checkpoint")}


def _columns(sheets: Mapping[str, Mapping[str, Any]]) -> str:
    if not sheets:
        return ""
    names = list(dict.fromkeys(name for sheet in sheets.values() for name in sheet["columns"]))
    lines = [
        [
            name,
            *(_number(name, sheet["columns"][name]) if name in sheet["columns"] else "–" for sheet in sheets.values()),
        ]
        for name in names
    ]
    lines += [[f"bytes {place}", *(_bytes(sheet["sizes"], place) for sheet in sheets.values())] for place in PLACES]
    places = list(dict.fromkeys(place for sheet in sheets.values() for place in sheet.get("kl_by_position") or {}))
    lines += [[f"KL at {place}", *(_at(sheet, place) for sheet in sheets.values())] for place in places]
    return (
        "## Figures\n\nNats a token where they are not shares; p(right) is the probability of the token that follows."
        f"\n\n{table(lines, ['figure', *sheets])}"
    )


def _bytes(sizes: Mapping[str, float], place: str) -> str:
    part, whole = sizes.get(f"bytes {place}"), sizes.get(f"bytes {place}, dense")
    return f"{part:,} of {whole:,} ({part / whole:.1%})" if part and whole else "–"


def _at(sheet: Mapping[str, Any], place: str) -> str:
    value = (sheet.get("kl_by_position") or {}).get(place)
    return "–" if value is None else f"{value:.3g}"


def _number(name: str, value: float) -> str:
    return f"{value:.2%}" if name.startswith("same top") else f"{value:.5g}"


def _along(evidence: Evidence) -> str:
    return f"## KL along the window\n\n![KL against position]({PLOT})" if figures(evidence) else ""


def _curve(sheet: Mapping[str, Any]) -> dict[int, float]:
    """KL by the end of each bucket, such as 128 of "64-127"."""
    pairs = ((re.search(r"\d+$", str(name)), value) for name, value in (sheet.get("kl_by_position") or {}).items())
    return {int(last.group()) + 1: float(value) for last, value in pairs if last and value is not None}
