"""Comparison of checkpoints: a table by bytes, and quality against bytes with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.report.plots import BLACK, BLUE, GREEN, GREY, STYLE, VERMILLION, WIDTH, label_points, plain_log
from bench.report.sheets import ON_DISK, Sheet, sheets_of
from bench.report.tables import table
from bench.verdict.documents import Interval
from bench.verdict.evidence import Evidence
from bench.verdict.wording import CLEARED

PLOT = "checkpoint-quality.png"
COLOURS = dict(zip(CLEARED.values(), (GREEN, VERMILLION, BLUE), strict=True))
LEAST, FOOT = 1e-7, 3.0
"""KL that is drawn for less, such as an identical checkpoint's; how far below the least estimate the axis goes."""
HEADERS = ["checkpoint", "against the thresholds", "in plain words", "perplexity ratio", "KL", "same top token", "MB"]


def lines_of(sheets: Sequence[Sheet]) -> list[list[str]]:
    """Lines of the table, by bytes on disk."""
    return [_line(sheet) for sheet in sheets]


def _line(sheet: Sheet) -> list[str]:
    measures = sheet.measures
    figures = [written(measures[name], share=name == "top1") for name in ("ratio", "kl", "top1") if name in measures]
    return [
        f"`{sheet.label}`",
        sheet.outcome,
        f"{sheet.words}: {sheet.reason}",
        *(figures or ["–"] * 3),
        _megabytes(sheet),
    ]


def written(interval: Interval, *, share: bool = False) -> str:
    """Estimate with its interval; a share in percent."""
    ends = (interval.value, interval.low, interval.high)
    shown = [f"{end:.1%}" if share else f"{end:.3f}" if end >= 0.0995 else f"{end:.2g}" for end in ends]
    return shown[0] if len(set(shown)) == 1 else f"{shown[0]} [{shown[1]}, {shown[2]}]"


def _megabytes(sheet: Sheet) -> str:
    own, dense = sheet.size(ON_DISK), sheet.size(f"{ON_DISK}, dense")
    if own is None:
        return "–"
    return f"{own / 1e6:,.1f}" + (f" ({own / dense:.0%})" if dense else "")


def section(evidence: Evidence) -> str:
    """Section of the page: the table, and the plot where there is something to draw."""
    sheets = sheets_of(evidence)
    parts = [table(lines_of(sheets), HEADERS)]
    if len(_drawable(sheets)) > 1:
        parts.append(
            f"![KL against bytes on disk]({PLOT})\n\nBars are 95 % intervals. The line is the Pareto front: no "
            "checkpoint here is both smaller and nearer to the dense model."
        )
    return "\n\n".join(parts)


def plain(evidence: Evidence) -> str:
    """Comparison for a terminal: two lines a checkpoint."""
    sheets = sheets_of(evidence)
    width = max((len(sheet.label) for sheet in sheets), default=0)
    return "\n".join(
        f"{sheet.label:<{width}}  {_megabytes(sheet):>16} MB  {sheet.outcome}\n    {sheet.words}: {sheet.reason}"
        for sheet in sheets
    )


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the points that no other is below and left of, from left to right: `(bytes, KL)` each."""
    kept, best = [], float("inf")
    for place in sorted(range(len(points)), key=lambda place: points[place]):
        if points[place][1] < best:
            kept.append(place)
            best = points[place][1]
    return kept


def _drawable(sheets: Sequence[Sheet]) -> list[Sheet]:
    return [sheet for sheet in sheets if sheet.size(ON_DISK) and sheet.measures["kl"].value < float("inf")]


def figures(evidence: Evidence) -> dict[str, Figure]:
    """KL against bytes on disk; none where fewer than two checkpoints can be drawn."""
    drawn = _drawable(sheets_of(evidence))
    if len(drawn) < 2:
        return {}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
        axes = figure.subplots()
        points = [((sheet.size(ON_DISK) or 0) / 1e6, max(sheet.measures["kl"].value, LEAST)) for sheet in drawn]
        low = min(y for _, y in points) / FOOT
        for (x, y), sheet in zip(points, drawn, strict=True):
            kl = sheet.measures["kl"]
            ends = [[max(y - max(kl.low, low), 0)], [max(kl.high - y, 0)]]
            colour = COLOURS.get(sheet.outcome, GREY)
            axes.errorbar([x], [y], yerr=ends, fmt="o", color=colour, markersize=4.5, elinewidth=1, zorder=3)
        best = front(points)
        axes.plot(*zip(*(points[place] for place in best), strict=True), color=GREY, linewidth=1, zorder=1)
        for word, colour in COLOURS.items():
            axes.plot([], [], "o", color=colour, markersize=4.5, label=word)
        axes.set(xscale="log", yscale="log", xlabel="megabytes on disk", ylabel="KL compressed‖dense, nats a token")
        if dense := next((sheet.size(f"{ON_DISK}, dense") for sheet in drawn), None):
            axes.axvline(dense / 1e6, color=BLACK, linewidth=0.8, linestyle=":", label="the dense model's bytes")
        axes.margins(0.12)
        plain_log(axes, "x", [m * 10.0**power for power in range(-4, 7) for m in (1, 2, 5)])
        plain_log(axes, "y", [10.0**power for power in range(-7, 4)])
        figure.legend(frameon=False, fontsize=8, loc="outside upper center", ncols=4)
        figure.draw_without_rendering()
        label_points(axes, [(x, y, sheet.label, BLACK) for (x, y), sheet in zip(points, drawn, strict=True)])
    return {PLOT: figure}
