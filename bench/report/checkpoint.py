"""The page of checkpoints that a user brought: the comparison, and a sheet for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.report import comparison
from bench.report.comparison import written
from bench.report.pages import Footnotes, View, common_notes, measured_on, rows_tables
from bench.report.plots import PALETTE, STYLE, WIDTH, label_ends, plain_log, tokens_axis
from bench.report.sheets import IN_MEMORY, ON_DISK, Sheet, rows_of, sheets_of
from bench.report.tables import table
from bench.verdict.documents import Interval
from bench.verdict.evidence import Evidence, Result

__all__ = ("figures", "page", "rows_of")

ALONG, BY_BLOCK = "checkpoint-kl.png", "checkpoint-blocks.png"
TOO_FEW = 12
"""Documents below which the page warns that intervals are wide."""
MEASURES = {
    "ratio": "perplexity over the dense model's",
    "kl": "KL compressed‖dense, nats a token",
    "reverse_kl": "KL dense‖compressed, nats a token",
    "top1": "same top token",
    "change_of_p": "change of the right token's probability",
}


def figures(evidence: Evidence) -> dict[str, Figure]:
    """Comparison, KL along the window and departures by block, where there are such."""
    drawn, curves = comparison.figures(evidence), _curves(evidence)
    if lines := curves[ALONG]:
        drawn[ALONG] = _lines(lines, "position, to the end of the bucket", "KL compressed‖dense, nats a token", True)
    if lines := curves[BY_BLOCK]:
        drawn[BY_BLOCK] = _lines(lines, "block", "departure from the dense block's output", False)
    return drawn


def _curves(evidence: Evidence) -> dict[str, dict[str, dict[int, float]]]:
    """Curves of more than one point by plot and checkpoint."""
    sheets = [sheet for sheet in sheets_of(evidence) if not sheet.refused]
    known = {
        ALONG: {s.label: _curve(s.details) for s in sheets},
        BY_BLOCK: {s.label: dict(enumerate(s.details.get("blocks") or ())) for s in sheets},
    }
    return {plot: {name: curve for name, curve in own.items() if len(curve) > 1} for plot, own in known.items()}


def _lines(curves: Mapping[str, Mapping[int, float]], x: str, y: str, doubling: bool) -> Figure:
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH, max(3.2, 1.2 + 0.2 * len(curves))), layout="constrained")
        axes, ends = drawn.subplots(), []
        for colour, (label, curve) in zip(PALETTE * len(curves), curves.items(), strict=False):
            axes.plot(list(curve), list(curve.values()), marker="o", markersize=3, color=colour)
            ends.append((max(curve), curve[max(curve)], label, colour))
        ticks = sorted({place for curve in curves.values() for place in curve})
        if all(value is not None and value > 0 for curve in curves.values() for value in curve.values()):
            axes.set_yscale("log")
            low, high = axes.get_ylim()
            between = (1, 2, 5) if high < 1e3 * low else (1,)
            plain_log(axes, "y", [m * 10.0**power for power in range(-7, 5) for m in between])
        if doubling:
            tokens_axis(axes, ticks)
            axes.set_xlim(ticks[0] * 0.93, ticks[-1] * (ticks[-1] / ticks[0]) ** 0.4)
        else:
            axes.set_xticks(ticks[:: max(1, len(ticks) // 8)])
            axes.set_xlim(-0.3, ticks[-1] * 1.35)
        axes.set(xlabel=x, ylabel=y)
        drawn.draw_without_rendering()
        label_ends(axes, ends)
    return drawn


def _curve(details: Mapping[str, Any]) -> dict[int, float]:
    """KL by the end of each bucket, such as 128 of "64-127"."""
    known = details.get("kl_by_position") or {}
    return {int(name.split("-")[1]) + 1: float(value) for name, value in known.items() if value is not None}


def page(view: View, forest: str) -> str:
    """The page; empty where no checkpoint was judged."""
    rows, notes = rows_of(view.evidence), Footnotes()
    if not rows:
        return ""
    common = common_notes(view, rows)
    parts = ["# Checkpoints", " ".join(common.values()), _warning(rows), comparison.section(view.evidence)]
    parts += [_plots(view.evidence, forest)]
    for sheet in sheets_of(view.evidence):
        parts += [f"## {sheet.label}", f"**{_capital(sheet.words)}**: {sheet.reason}."]
        if not sheet.refused:
            parts += rows_tables(view, list(sheet.rows), notes, common)
            parts += [_measures(sheet), _figures(sheet), _sizes(sheet), _worst(sheet)]
    parts += [measured_on(view.evidence, rows), notes.written()]
    return "\n\n".join(part for part in parts if part)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _warning(rows: Sequence[Result]) -> str:
    few = [row.documents for row in rows if 0 < row.documents < TOO_FEW]
    if not few:
        return ""
    return f"Judged on {min(few)} documents: intervals this wide can hide damage. `--effort=normal` reads {TOO_FEW}."


def _plots(evidence: Evidence, forest: str) -> str:
    drawn = _curves(evidence)
    parts = [f"![estimate, interval and threshold of every row]({forest})"] if forest else []
    if drawn[ALONG]:
        parts.append(f"![KL against position]({ALONG})")
    if drawn[BY_BLOCK]:
        parts.append(
            f"![departure by block]({BY_BLOCK})\n\nEach block is fed with what the dense model feeds its own; the "
            "departure is relative to what the dense block adds, median over tokens. A damaged block stands alone."
        )
    return "\n\n".join(parts)


def _measures(sheet: Sheet) -> str:
    shares = ("top1", "change_of_p")
    lines = [[MEASURES[name], written(value, share=name in shares)] for name, value in sheet.measures.items()]
    if growth := sheet.details.get("growth"):
        lines.append(["KL at the window's end over that at its beginning", written(Interval(*growth))])
    return table(lines, ["measure", "value [95 % interval]"])


def _figures(sheet: Sheet) -> str:
    shown = [[name, _number(name, value)] for name, value in (sheet.details.get("columns") or {}).items()]
    half = (len(shown) + 1) // 2
    pairs = [[*left, *right] for left, right in zip(shown, [*shown[half:], ["", ""]], strict=False)][:half]
    lines = "Figures as llama.cpp gives them, nats a token where they are not shares; p(right) is the probability of "
    return f"{lines}the token that follows.\n\n{table(pairs, ['figure', '', 'figure', ''])}" if shown else ""


def _number(name: str, value: float | None) -> str:
    if value is None:
        return "not finite"
    return f"{value:.2%}" if name.startswith("same top") or "p(right)" in name else f"{value:.5g}"


def _sizes(sheet: Sheet) -> str:
    lines = []
    for place in (ON_DISK, IN_MEMORY):
        own, dense = sheet.size(place), sheet.size(f"{place}, dense")
        if own and dense:
            lines.append([place, f"{own:,}", f"{dense:,}", f"{own / dense:.1%}"])
    return table(lines, ["", "checkpoint", "dense", "share"]) if lines else ""


def _worst(sheet: Sheet) -> str:
    lines = [
        [
            f"{token['kl']:.3g}" if token["kl"] is not None else "not finite",
            f"{token['document'] + 1}, {token['position']}",
            f"…{_shown(token['context'])}",
            *(_shown(token[name]) for name in ("right", "dense", "compressed")),
        ]
        for token in sheet.details.get("worst") or ()
    ]
    if not lines:
        return ""
    heads = ["KL", "document, position", "after", "the text goes on", "dense: likeliest", "compressed: likeliest"]
    return f"Tokens whose predictions differ most.\n\n{table(lines, heads)}"


def _shown(text: str) -> str:
    return "`" + text.replace("\n", "⏎").replace("`", "'") + "`"
