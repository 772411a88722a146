"""Loss against tokens of the students on Krony-PT's ladder, which of them are flat, and where their ratios lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.plots import BLACK, GREY, PALETTE, STYLE, label_ends, plain_log, small_multiples
from bench.report.tables import table
from bench.verdict.claims import CLAIMS
from bench.verdict.documents import Array
from bench.verdict.evidence import EFFORTS, Evidence, Variant

CURVES = "krony-loss-curves.png"
INSTRUMENT = "ladder"
BASE = {"teacher": ("teacher", "-"), "scratch": ("half depth, from scratch", ":"), "ngram": ("5-gram model", "--")}
"""Lines that every panel has: their names and styles."""
FROM = 1 / 40
"""Share of the tokens from which on losses are drawn; before it they fall steeply."""


@dataclass(frozen=True)
class Course:
    """A student's held-out losses over its readings."""

    along: Array
    """Tokens, `[readings]`."""
    losses: Array
    """`[seeds, readings]`."""


def courses_of(evidence: Evidence) -> dict[str, Course]:
    """Courses of all students on record, by name."""
    seeds: dict[str, list[Variant]] = {}
    for variant in ladder_variants(evidence):
        if "held_out" in variant.arrays:
            seeds.setdefault(variant.label.rpartition(", seed ")[0], []).append(variant)
    return {
        name: Course(each[0].arrays["along"], np.stack([variant.arrays["held_out"] for variant in each]))
        for name, each in seeds.items()
    }


def ladder_variants(evidence: Evidence) -> list[Variant]:
    """Variants of the ladder at the highest effort on record."""
    known = [variant for variant in evidence.variants.values() if variant.instrument == INSTRUMENT]
    best = max((EFFORTS.index(variant.origin.effort) for variant in known), default=0)
    return [variant for variant in known if EFFORTS.index(variant.origin.effort) == best]


def panels_of(evidence: Evidence, courses: Mapping[str, Course]) -> dict[str, list[str]]:
    """Students of every claim that are on record, in the order of the claims and of their rows."""
    panels: dict[str, dict[str, None]] = {}
    for row in evidence.rows.values():
        for name in row.details.get("students") or {}:
            if name in courses:
                panels.setdefault(row.claim, {})[name] = None
    return {claim: list(panels[claim]) for claim in CLAIMS if claim in panels}


def figure(evidence: Evidence, courses: Mapping[str, Course]) -> Figure:
    """Held-out loss against tokens, a panel a claim, with the teacher, the n-gram model and half depth as lines."""
    panels = panels_of(evidence, courses) or {"all": list(courses)}
    base = next((variant.arrays for variant in ladder_variants(evidence) if "held teacher" in variant.arrays), {})
    with mpl.rc_context(STYLE):
        drawn, grid = small_multiples(len(panels), columns=2, height=2.5, share_y=False)
        ends = [_panel(axes, {name: courses[name] for name in names}, base) for axes, names in _pairs(grid, panels)]
        for place, (axes, claim) in enumerate(zip(grid, panels, strict=True)):
            axes.set_title(claim, loc="left", fontweight="bold")
            axes.set_ylabel("nats a token" if place % 2 == 0 else "")
        for axes in grid[-2:]:
            axes.set_xlabel("millions of tokens")
        drawn.draw_without_rendering()
        for axes, labels in zip(grid, ends, strict=True):
            label_ends(axes, labels)
    return drawn


def _pairs(grid: list[Axes], panels: Mapping[str, list[str]]) -> list[tuple[Axes, list[str]]]:
    return list(zip(grid, panels.values(), strict=True))


def _panel(axes: Axes, members: Mapping[str, Course], base: Mapping[str, Array]) -> list[tuple[float, float, str, str]]:
    """Draw a panel; the ends to label."""
    last = max(float(each.along[-1]) for each in members.values()) / 1e6
    ends, shown = [], []
    for (name, style), key in zip(BASE.values(), BASE, strict=True):
        if f"held {key}" in base:
            level = float(base[f"held {key}"].mean())
            axes.plot([FROM * last, last], [level, level], style, color=BLACK if key == "teacher" else GREY, lw=0.9)
            ends.append((last, level, name, BLACK if key == "teacher" else GREY))
            shown.append(level)
    for colour, (name, each) in zip(cycle(PALETTE), members.items(), strict=False):
        late = each.along >= FROM * last * 1e6
        along, losses = each.along[late] / 1e6, each.losses[:, late]
        mean = losses.mean(0)
        axes.fill_between(along, losses.min(0), losses.max(0), color=colour, alpha=0.2, linewidth=0)
        axes.plot(along, mean, color=colour, linewidth=1.1)
        ends.append((last, float(mean[-1]), f"{name} {mean[-1]:.2f}", colour))
        shown += [float(mean.min()), float(np.quantile(mean, 0.9))]
    axes.set_xscale("log")
    axes.set_xlim(FROM * last, last * 6)
    plain_log(axes, "x", [round(last * share, 2) for share in (1 / 32, 1 / 8, 1 / 2, 1)])
    room = 0.06 * (max(shown) - min(shown)) or 0.1
    axes.set_ylim(min(shown) - room * len(ends) / 2, max(shown) + room)  # room for the labels of lines that end low
    return ends


def sections(evidence: Evidence, courses: Mapping[str, Course], students: Mapping[str, Any]) -> list[str]:
    """Sections of the page: the plot, each student's slope, and where ratios lead."""
    plot = (
        f"## Loss against tokens\n\n![held-out loss of every student, by claim]({CURVES})\n\nCross-entropy on text "
        "that is held out: nothing is trained on it, and no row is judged by it. Mean and range over seeds; the\n"
        "number is the mean at the end. The rate is constant (but for the cosine students), so a point on the way is "
        "what a\nshorter training would have ended with."
    )
    return [plot if courses else "", _slopes(students), _ratios(evidence)]


def _slopes(students: Mapping[str, Any]) -> str:
    lines = [
        [name, f"{student['tokens']:,}", student.get("objective", ""), *_fall(student["fall"])]
        for name, student in students.items()
        if student.get("fall")
    ]
    if not lines:
        return ""
    headers = ["student", "tokens", "trained on", "fall a doubling", "flat"]
    return (
        "## Who is flat\n\nFall of the held-out loss over a doubling of tokens at the end, as a share of it, with its "
        f"interval over seeds. Under 1 %\na student counts as flat.\n\n{table(lines, headers)}"
    )


def _fall(numbers: list[float]) -> list[str]:
    value, low, high = (f"{100 * number:.2f}" for number in numbers)
    return [f"{value} % [{low}, {high}]", "yes" if numbers[2] < 0.01 else "no"]


def _ratios(evidence: Evidence) -> str:
    lines = [
        [f"`{row.row}`", _interval(followed["now"]), _interval(followed["ahead"]), "yes" if followed["flat"] else "no"]
        for row in evidence.rows.values()
        if (followed := row.details.get("course"))
    ]
    if not lines:
        return ""
    headers = ["row", "at the end", "three doublings on", "all flat"]
    return (
        "## Where ratios lead\n\nRatios of perplexities at the end of training, and where the line through the last "
        "three doublings of tokens leads in three\nmore; what levels off ends between the two. A row whose students "
        f"are all flat is judged by the first, any other by an interval\nthat holds both.\n\n{table(lines, headers)}"
    )


def _interval(numbers: list[float]) -> str:
    value, low, high = (f"{number:.3f}" for number in numbers)
    return f"{value} [{low}, {high}]"
