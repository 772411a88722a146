"""Forest plot: every row's estimate and interval over its acceptance region, grouped by claim and part.

Statistics that are alike share a panel and an axis: ratios a logarithmic one, differences in points a linear one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench.report.plots import BLUE, GREEN, GREY, SHADE, STYLE, VERMILLION, WIDTH, plain_log
from bench.report.tables import measured
from bench.verdict.evidence import Result
from bench.verdict.regions import Verdict

COLOURS = {
    Verdict.REPRODUCED.value: GREEN,
    Verdict.NOT_REPRODUCED.value: VERMILLION,
    Verdict.INCONCLUSIVE.value: BLUE,
}
MARKERS = {Verdict.REPRODUCED.value: "o", Verdict.NOT_REPRODUCED.value: "s", Verdict.INCONCLUSIVE.value: "D"}


@dataclass(frozen=True)
class Unit:
    """Unit that the statistics of one panel share."""

    name: str
    """Label of the axis."""
    words: str
    """Pattern of the statistics' sentences."""
    log: bool = False
    widest: tuple[float, float] = (-math.inf, math.inf)
    """Limits that the axis never exceeds; what lies beyond is marked by an arrow."""


UNITS = (
    Unit("count", r"^(rows|shapes|number) "),
    Unit("difference in points", r"^points "),
    Unit("exponent", r"^exponent"),
    Unit("share or rate", r"^(share|rate) ", widest=(0, 1)),
    Unit(
        "size of an error (logarithmic)",
        r"^(largest (relative )?(change|difference)|relative distance|difference of)",
        True,
    ),
    Unit("millions", r"millions"),
    Unit("value of a scalar", r"^mean scalar"),
    Unit("times smaller", r"^times smaller", True),
    Unit("seconds", r"\bseconds\b"),
    Unit("ratio (logarithmic)", r"\bover\b|\btimes\b|growth|ratio|per doubling|relative to", True, (0.1, 20)),
    Unit("other figures", r""),
)
"""The first whose words a statistic has is its unit."""

SQUEEZED = 1.5
"""An axis so many times as long as the bulk of the bounds takes, twice its middle 70 %, is cut."""
DECADES = 1.5
"""A logarithmic axis up to so long is never cut."""
ROW, HEAD, FOOT, TOP = 0.185, 0.12, 0.55, 0.42
"""Inches: of a row, above and below a panel's rows, and for the legend."""
LEFT, RIGHT = 3.05, 1.55
"""Inches for the names and the numbers."""
LONGEST = 43
"""Letters of a name that fit beside its claim."""


@dataclass
class Panel:
    """Rows of one unit."""

    unit: Unit
    rows: list[Result] = field(default_factory=list)
    limits: tuple[float, float] = (0, 1)

    @property
    def inches(self) -> float:
        """Height of the rows."""
        return ROW * len(self.rows) + HEAD


def unit_of(row: Result) -> Unit:
    """Unit of a row, by the words of its statistic."""
    return next(unit for unit in UNITS if re.search(unit.words, row.statistic))


def panels_of(rows: Sequence[Result]) -> list[Panel]:
    """Panels of the rows that have a value, ratios first; exact numbers fill no panel of their own."""
    panels: dict[str, Panel] = {}
    for row in rows:
        if row.value is not None:
            unit = unit_of(row)
            panels.setdefault(unit.name, Panel(unit)).rows.append(row)
    shown = [panel for panel in panels.values() if any(not is_exact(row) for row in panel.rows)]
    for panel in shown:
        panel.limits = limits_of(panel)
    return sorted(shown, key=lambda panel: (not panel.unit.name.startswith("ratio"), -len(panel.rows)))


def is_exact(row: Result) -> bool:
    """True if a row's number has no error."""
    return row.low == row.value == row.high


def limits_of(panel: Panel) -> tuple[float, float]:
    """Axis that holds every bound, or the bulk of them where the rest would squeeze it; and the regions' ends."""
    numbers = [x for row in panel.rows for x in (row.low, row.value, row.high) if x is not None]
    ends = [x for row in panel.rows for x in (row.accept_low, row.accept_high) if x is not None]
    if panel.unit.log:
        numbers, ends = ([math.log10(x) for x in those if x > 0] for those in (numbers, ends))
    low, high = min(numbers), max(numbers)
    left, right = np.quantile(numbers, [0.15, 0.85])
    left, right = left - (right - left) / 2, right + (right - left) / 2
    short = high - low < (DECADES if panel.unit.log else 0) or panel.unit.widest == (0, 1)
    if not short and high - low > SQUEEZED * (right - left) > 0:
        low, high = max(low, left), min(high, right)
    low, high = min([low, *ends]), max([high, *ends])
    margin = 0.06 * (high - low) or 1.0
    low, high = low - margin, high + margin
    if panel.unit.log:
        low, high = 10**low, 10**high
    least, most = panel.unit.widest
    return (max(low, least), min(high, most)) if low < most and high > least else (low, high)


def figure(rows: Sequence[Result], words: Mapping[str, str] | None = None) -> Figure | None:
    """Forest plot of rows that are sorted by claim and part; None where no row has an interval.

    Args:
        rows: in the order in which they are drawn.
        words: verdicts that the legend words otherwise.
    """
    panels = panels_of(rows)
    if not panels:
        return None
    height = TOP + sum(panel.inches + FOOT for panel in panels)
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH, height))
        top = height - TOP
        for panel in panels:
            box = (LEFT / WIDTH, (top - panel.inches) / height, 1 - (LEFT + RIGHT) / WIDTH, panel.inches / height)
            _panel(drawn.add_axes(box), panel)
            top -= panel.inches + FOOT
        _legend(drawn, rows, words or {}, 1 - 0.05 / height)
    return drawn


def _legend(drawn: Figure, rows: Sequence[Result], words: Mapping[str, str], top: float) -> None:
    verdicts = [name for name in COLOURS if any(row.verdict == name and row.counts for row in rows)]
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=COLOURS[name], marker=MARKERS[name], markersize=4, label=words.get(name, name))
        for name in verdicts
    ]
    if not all(row.counts for row in rows):
        handles.append(Line2D([], [], color=GREY, marker="o", markersize=4, label="does not count"))
    handles.append(Patch(color=SHADE, label="accepted"))
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, top), "frameon": False}
    drawn.legend(handles=handles, ncols=5, fontsize=8, **place)


def _panel(axes: Axes, panel: Panel) -> None:
    axes.set(xlim=panel.limits, ylim=(len(panel.rows) - 0.5, -0.5 - HEAD / ROW), xlabel=panel.unit.name)
    if panel.unit.log:
        axes.set_xscale("log")
        axes.set_xlim(panel.limits)
    for place, row in enumerate(panel.rows):
        _row(axes, place, row, panel.limits)
    _names(axes, panel.rows)
    if panel.unit.name.startswith("ratio"):
        wide = panel.limits[1] / panel.limits[0] > 8
        axes.axvline(1, color=GREY, linewidth=0.7, zorder=1)
        plain_log(axes, "x", (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if wide else (0.5, 0.8, 1, 1.25, 2, 3))
    elif panel.limits[0] < 0 < panel.limits[1]:
        axes.axvline(0, color=GREY, linewidth=0.7, zorder=1)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _row(axes: Axes, place: int, row: Result, limits: tuple[float, float]) -> None:
    low, high = limits
    accepted = [low if row.accept_low is None else row.accept_low, high if row.accept_high is None else row.accept_high]
    if row.accept_low is not None or row.accept_high is not None:
        left, right = max(accepted[0], low), min(accepted[1], high)
        if left <= right:
            axes.fill_betweenx([place - 0.42, place + 0.42], left, right, color=SHADE, linewidth=0.8, zorder=0)
    colour = COLOURS[row.verdict] if row.counts else GREY
    bounds = (-math.inf if row.low is None else row.low, math.inf if row.high is None else row.high)
    axes.plot(np.clip(bounds, low, high), [place, place], color=colour, linewidth=1.4, solid_capstyle="butt", zorder=2)
    for x, shape in clipped(row, limits):
        axes.plot([x], [place], shape, color=colour, markersize=5, clip_on=False, zorder=4)
    if row.value is not None and low <= row.value <= high:
        axes.plot([row.value], [place], MARKERS[row.verdict], color=colour, markersize=4, zorder=3)
    _write(axes, measured(row), (1, place), ha="left", xytext=(8, 0), color=colour)


def clipped(row: Result, limits: tuple[float, float]) -> list[tuple[float, str]]:
    """Arrowheads of a row that leaves the axis: place and matplotlib's marker."""
    low, high = limits
    arrows = []
    if row.low is None or row.low < low:
        arrows.append((low, "<"))
    if row.high is None or row.high > high:
        arrows.append((high, ">"))
    return arrows


def _names(axes: Axes, rows: Sequence[Result]) -> None:
    """Rows' names at the axis, and before the first row of each part its claim; a line between claims."""
    axes.set_yticks([])
    last: tuple[str, str] = ("", "")
    for place, row in enumerate(rows):
        if last[0] and row.claim != last[0]:
            axes.axhline(place - 0.5, color="#DDDDDD", linewidth=0.7, zorder=0, xmin=-0.7, xmax=1.3, clip_on=False)
        if (row.claim, row.part) != last:
            _write(axes, row.claim + row.part, (0, place), ha="left", xytext=(-LEFT * 72 + 6, 0), fontweight="bold")
        name = row.row.removeprefix(f"{row.claim}-")
        colour = "black" if row.counts else GREY
        small = {"fontsize": 6, "linespacing": 0.95} if "\n" in (said := fitted(name)) else {}
        _write(axes, said, (0, place), ha="right", xytext=(-8, 0), color=colour, **small)
        last = (row.claim, row.part)


def fitted(name: str) -> str:
    """Name of a row as it fits beside its claim: a long one in two lines, broken where it compares two things."""
    if len(name) <= LONGEST:
        return name
    middle = len(name) // 2
    places = [found.start() for found in re.finditer("-over-|-against-", name)] or [
        found.start() for found in re.finditer("-", name)
    ]
    place = min(places, key=lambda at: abs(at - middle), default=middle)
    return f"{name[:place]}\n{name[place:].removeprefix('-')}"


def _write(axes: Axes, text: str, at: tuple[float, int], **style: Any) -> None:
    """Write text beside a row: `at` is a fraction of the axis and the row's place."""
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "annotation_clip": False}
    axes.annotate(text, at, **where, **{"va": "center", "fontsize": 8, **style})
