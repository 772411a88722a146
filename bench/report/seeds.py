"""Plots and tables of seeds, for any paper whose rows stand on models that were trained several times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.plots import BLACK, BLUE, GREY, PALETTE, STYLE, WIDTH, label_ends, small_multiples
from bench.report.tables import table
from bench.verdict.claims import CLAIMS, Paper
from bench.verdict.evidence import Evidence


@dataclass(frozen=True)
class Trained:
    """One variant's seeds, as a claim shows them."""

    names: tuple[str, ...]
    rows: tuple[str, ...]
    """Rows of the claim that stand on it."""
    accuracy: tuple[float, ...]
    failed: int
    curves: Any
    """Loss of pre-training, `[seeds, points]`."""


def trained(evidence: Evidence, paper: Paper) -> dict[str, list[Trained]]:
    """Variants of every claim that stands on trained models, each once a claim, with all its names."""
    rows = sorted((row for row in evidence.rows.values() if is_of(paper, row.claim)), key=lambda row: row.row)
    claims: dict[str, dict[tuple[float, ...], Trained]] = {}
    for row in rows:
        for name, variant in (row.details.get("variants") or {}).items():
            if "accuracy" in variant:
                mine = claims.setdefault(row.claim, {})
                seeds = tuple(variant["accuracy"])
                known = mine.get(seeds, Trained((), (), seeds, variant["failed"], variant["curves"]))
                mine[seeds] = replace(known, names=(*known.names, name), rows=(*known.rows, row.row))
    return {claim: list(claims[claim].values()) for claim in CLAIMS if claim in claims}


def is_of(paper: Paper, claim: str) -> bool:
    """True for the identifier of a claim of the paper."""
    return claim in CLAIMS and CLAIMS[claim].paper is paper


def labels_of(variants: list[Trained]) -> list[str]:
    """Names of a claim's variants, with the row where several have the same."""
    plain = [" = ".join(dict.fromkeys(variant.names)) for variant in variants]
    counted = Counter(plain)
    return [
        name if counted[name] == 1 else f"{name} ({variant.rows[0].split('-', 1)[-1]})"
        for name, variant in zip(plain, variants, strict=True)
    ]


def common_of(claims: Mapping[str, list[Trained]]) -> tuple[float, ...]:
    """Seeds' results of the variant that most claims have; empty where no two share one."""
    counted = Counter(variant.accuracy for variants in claims.values() for variant in variants)
    ((most, count),) = counted.most_common(1) or [((), 0)]
    return most if count > 1 else ()


def strips(evidence: Evidence, paper: Paper) -> Figure | None:
    """Plot of every seed's accuracy, a panel a claim; the common variant once and then as a line; None without any."""
    claims = trained(evidence, paper)
    if not claims:
        return None
    common = common_of(claims)
    first = next((claim for claim, variants in claims.items() if common in [v.accuracy for v in variants]), "")
    shown = {
        claim: [(n, v) for n, v in zip(labels_of(vs), vs, strict=True) if claim == first or v.accuracy != common]
        for claim, vs in claims.items()
    }
    shown = {claim: strip for claim, strip in shown.items() if strip}
    with mpl.rc_context(STYLE):
        heights = [len(strip) + 0.6 for strip in shown.values()]
        figure = Figure(figsize=(WIDTH, 0.19 * sum(heights) + 0.1 * len(heights) + 0.5), layout="constrained")
        grid = figure.subplots(len(shown), 1, sharex=True, squeeze=False, height_ratios=heights).ravel()
        for axes, (claim, strip) in zip(grid, shown.items(), strict=True):
            has_common = common in [variant.accuracy for variant in claims[claim]]
            _strip(axes, strip, common if has_common else ())
            at = {"xycoords": "axes fraction", "xytext": (6, 0), "textcoords": "offset points", "va": "center"}
            axes.annotate(claim, (1, 0.5), **at, fontweight="bold")
        grid[-1].set_xlabel("percent right")
    return figure


def _strip(axes: Axes, strip: list[tuple[str, Trained]], common: tuple[float, ...]) -> None:
    if common:
        axes.axvline(float(np.mean(common)), color=GREY, linewidth=0.8, linestyle="--", zorder=0)
    for place, (_, variant) in enumerate(strip):
        colour = GREY if variant.accuracy == common else BLUE
        axes.plot(variant.accuracy, [place] * len(variant.accuracy), "o", markersize=4, alpha=0.55, color=colour, mew=0)
        axes.plot([np.mean(variant.accuracy)], [place], "|", markersize=10, mew=1.8, color=BLACK)
    axes.set_yticks(range(len(strip)), [name for name, _ in strip])
    axes.set_ylim(len(strip) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#EEEEEE", linewidth=0.8)
    axes.set_axisbelow(True)


def strips_section(name: str) -> str:
    """The plot of seeds in a page."""
    return (
        f"## Every seed\n\n![accuracy of every seed, by claim]({name})\n\nA point a seed; the bar is their mean. "
        "The dashed line is the mean of the variant that most claims share, shown in grey\nwhere it first occurs."
    )


def tables(evidence: Evidence, paper: Paper) -> list[str]:
    """Table of every variant over its seeds; empty without any."""
    lines = []
    for claim, variants in trained(evidence, paper).items():
        for place, (name, variant) in enumerate(zip(labels_of(variants), variants, strict=True)):
            values = np.array(variant.accuracy)
            spread = f"{values.std(ddof=1):.2f}" if len(values) > 1 else "–"
            counts = [f"{values.mean():.1f}", f"{values.max():.1f}", spread, str(len(values)), str(variant.failed)]
            lines.append([claim if place == 0 else "", name, *counts])
    if not lines:
        return []
    headers = ["claim", "variant", "mean", "maximum", "standard deviation", "seeds", "failed"]
    return [
        "## Every variant over its seeds\n\nPercent right. Means vote. A maximum grows with the spread: of five normal "
        "values it lies 1.16 standard deviations above\ntheir mean, so a method that is only less steady looks better "
        f"by it.\n\n{table(lines, headers)}",
    ]


def pretraining(evidence: Evidence, paper: Paper) -> Figure | None:
    """Curves of pre-training, a panel a claim, over those of the common variant; None where none is on record."""
    panels = _panels({c: [v for v in vs if v.curves] for c, vs in trained(evidence, paper).items()})
    if not panels:
        return None
    with mpl.rc_context(STYLE):
        figure, grid = small_multiples(len(panels), columns=2, height=2.0)
        ends = [_losses(axes, variants) for axes, variants in zip(grid, panels.values(), strict=True)]
        for place, (axes, claim) in enumerate(zip(grid, panels, strict=True)):
            axes.set_title(claim, loc="left", fontweight="bold")
            axes.set_xlim(0, 155)
            axes.set_xticks([0, 25, 50, 75, 100])
            axes.spines["bottom"].set_bounds(0, 100)
            axes.set_ylabel("loss, nats a token" if place % 2 == 0 else "")
        for axes in grid[-2:]:
            axes.set_xlabel("percent of pre-training")
        grid[0].set_ylim(*_range_of([variant for variants in panels.values() for _, variant in variants]))
        figure.draw_without_rendering()
        for axes, lines in zip(grid, ends, strict=True):
            label_ends(axes, lines)
    return figure


def _panels(claims: Mapping[str, list[Trained]]) -> dict[str, list[tuple[str, Trained]]]:
    """Variants by claim whose pre-training differs, the common one first in each."""
    common = common_of(claims)
    base = [
        pair for vs in claims.values() for pair in zip(labels_of(vs), vs, strict=True) if pair[1].accuracy == common
    ]
    panels = {}
    for claim, variants in claims.items():
        panel = list(base[:1])
        for name, variant in zip(labels_of(variants), variants, strict=True):
            if variant.curves not in [known.curves for _, known in panel]:
                panel.append((name, variant))
        if len(panel) > len(base[:1]):
            panels[claim] = panel
    return panels


def _losses(axes: Axes, variants: list[tuple[str, Trained]]) -> list[tuple[float, float, str, str]]:
    """Draw curves of a panel; the ends to label."""
    ends = []
    for colour, (name, variant) in zip((GREY, *PALETTE), variants, strict=False):
        curves = np.array(variant.curves, dtype=float)  # None becomes NaN: a run that failed ends there
        along = np.linspace(0, 100, curves.shape[1])
        whole = curves[np.isfinite(curves).all(1)]
        failed = f", {variant.failed} failed" if variant.failed else ""
        if len(whole):
            axes.fill_between(along, whole.min(0), whole.max(0), color=colour, alpha=0.15, linewidth=0)
            axes.plot(along, whole.mean(0), color=colour, linewidth=1.2)
            last = float(whole[:, -1].mean())
            ends.append((100.0, last, f"{name} {last:.2f}{failed}", colour))
    return ends


def _range_of(variants: list[Trained]) -> tuple[float, float]:
    """Losses from the lowest to where all have left their steep beginning."""
    curves = [np.array(variant.curves, dtype=float) for variant in variants]
    low = min(float(np.nanmin(those)) for those in curves)
    high = max(float(np.nanquantile(those, 0.9)) for those in curves)
    return low - 0.08 * (high - low), high + 0.1 * (high - low)
