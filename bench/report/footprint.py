"""Footprint page, its plot and `footprint.json`: quality of every family against the bytes of its files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.pages import Footnotes, View, common_notes, measured_on, rows_tables
from bench.report.plots import PALETTE, STYLE, WIDTH, label_ends, plain_log
from bench.report.survey import front_of
from bench.report.tables import interval, table
from bench.verdict.documents import Interval, cluster_interval
from bench.verdict.evidence import Evidence, Result, Variant
from bench.verdict.footprints import USABLE, Best, Curve, best_at, curve_of, footprints_of, overtaking
from bench.verdict.lines import clean

CLAIM, STEM = "SV20", "footprint"
PLOT, JSON, SCHEMA = f"{STEM}.png", f"{STEM}.json", 1
TOLD = 10
"""Footprints at which the best family is told."""
HIGHEST = 10.0
"""KL, nats a token, up to which the plot goes: a guess among all tokens is about there."""
MARKERS = "osD^vPX*hd<>p"


@dataclass(frozen=True)
class Point:
    """One variant."""

    family: str
    method: str
    bytes: float
    ratio: Interval
    """Perplexity over the dense model's."""
    kl: Interval
    top1: Interval
    seconds: float
    loss: Any
    """Over the dense model's, `[documents]`."""


@dataclass(frozen=True)
class Comparison:
    """Variants of a folder's evidence, by family."""

    rows: Sequence[Result]
    points: Sequence[Point]

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """Families' curves over all documents."""
        families: dict[str, list[tuple[float, Any]]] = {}
        for point in self.points:
            families.setdefault(point.family, []).append((point.bytes, point.loss))
        return {name: curve_of(name, sizes) for name, sizes in families.items()}

    @cached_property
    def front(self) -> set[str]:
        """Variants that no smaller one beats."""
        return set(front_of({f"{p.family}: {p.method}": (p.bytes, p.ratio.value) for p in self.points}))

    @cached_property
    def best(self) -> list[Best]:
        """Best family at footprints from the smallest to the largest."""
        places = footprints_of(list(self.curves.values()))
        chosen = np.geomspace(places[0], places[-1], TOLD)
        return [best for place in chosen if (best := best_at(self.curves, float(place))) is not None]

    @cached_property
    def crossings(self) -> list[tuple[str, str, Interval]]:
        """Pairs of families on the front, and the bytes from which the second is better."""
        names = list(dict.fromkeys(best.family for best in self.best))
        places = footprints_of(list(self.curves.values()))
        pairs = [(a, b, overtaking(self.curves[a], self.curves[b], places)) for a, b in permutations(names, 2)]
        return [(a, b, at) for a, b, at in pairs if at is not None]


def comparison_of(evidence: Evidence) -> Comparison | None:
    """Variants that the rows on footprints rest on, smallest first; None where there are none."""
    rows = [row for row in evidence.rows.values() if row.claim == CLAIM]
    keys = {key for row in rows for key in row.variants or ()}
    variants = [evidence.variants[key] for key in keys if key in evidence.variants]
    points = sorted(
        (_point(variant) for variant in variants if "bytes" in variant.arrays),
        key=lambda p: (p.bytes, p.family, p.method),
    )
    return Comparison(rows, points) if len({point.family for point in points}) > 1 else None


def _point(variant: Variant) -> Point:
    arrays = variant.arrays
    family, _, method = variant.label.partition(": ")
    loss = arrays["loss"] - arrays["dense_loss"]

    def mean(values: Any) -> Interval:
        return cluster_interval(values[:, None], lambda means: means[..., 0])

    ratio = mean(loss).map(lambda x: math.exp(min(x, 700.0)))
    size, seconds = float(arrays["bytes"]), float(arrays["seconds"])
    return Point(family, method, size, ratio, mean(arrays["kl"]), mean(arrays["agreement"]), seconds, loss)


def figure(known: Comparison) -> Figure:
    """KL of every family against the bytes of its files, both on logarithms."""
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH, 5.2), layout="constrained")
        axes = drawn.subplots()
        low = min(max(point.kl.value, 1e-6) for point in known.points)
        sizes = [point.bytes / 1e6 for point in known.points]
        axes.set(xscale="log", yscale="log", xlim=(min(sizes) * 0.96, max(sizes) * 1.35), ylim=(low / 2, HIGHEST))
        plain_log(axes, "x", [m * 10.0**p for p in range(-2, 6) for m in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)])
        plain_log(axes, "y", [10.0**p for p in range(-7, 2)])
        axes.set_xlabel("bytes of the whole model's file, MB")
        axes.set_ylabel("KL compressed‖dense, nats a token")
        ends = [_line(axes, known, name, number) for number, name in enumerate(known.curves)]
        drawn.draw_without_rendering()
        label_ends(axes, ends)
    return drawn


def _line(axes: Axes, known: Comparison, family: str, number: int) -> tuple[float, float, str, str]:
    """Draw a family's points and intervals; where its line ends, for the label."""
    points = [point for point in known.points if point.family == family]
    colour, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
    x = [point.bytes / 1e6 for point in points]
    y = [min(max(point.kl.value, 1e-9), HIGHEST) for point in points]
    below = [max(value - max(point.kl.low, value / 50), 0) for value, point in zip(y, points, strict=True)]
    above = [max(min(point.kl.high, HIGHEST) - value, 0) for value, point in zip(y, points, strict=True)]
    style = "-" if number < len(PALETTE) else "--"
    axes.errorbar(x, y, yerr=[below, above], color=colour, marker=marker, markersize=4.5, linewidth=1, linestyle=style)
    return x[-1], y[-1], family, colour


def page(view: View, known: Comparison) -> str:
    """Page of the comparison."""
    notes, common = Footnotes(), common_notes(view, known.rows)
    told = [_told(best) for best in known.best]
    crossings = [[a, b, _megabytes(at)] for a, b, at in known.crossings]
    parts = [
        "# Quality at equal footprint",
        " ".join(common.values()),
        "Each family of methods at several sizes of one model. Sizes are those of a file that holds the whole model: "
        "embeddings and norms in\n16 bits a value, and compressed weights as codes, scales and zero points, as values "
        "under a mask, as Huffman codes with their tables,\nor as factors. What is scored is what that file gives "
        "back.",
        f"![KL against the bytes of the file, a line a family]({PLOT})",
        "## Best family by footprint\n\nBetween its sizes a family's loss is interpolated on the logarithm of bytes; "
        "beyond its largest file it stays as good. The lead is\nthe next family's perplexity over the best's, on the "
        "same documents that chose both; of use is what has at most twice the dense model's perplexity.\n\n"
        + table(told, ["MB", "best", "perplexity over dense [95 %]", "next", "its lead [95 %]"]),
        "## Where families cross\n\n"
        + (
            table(crossings, ["below", "above", "MB [95 % over documents]"])
            if crossings
            else "One family is the best at every footprint, or none overtakes another."
        ),
        *_refused(known),
        "\n\n".join(["## Verdict", *rows_tables(view, known.rows, notes, common)]),
        f"## Every variant, smallest first\n\nThose in bold are on the Pareto front: no smaller file is as good. All "
        f"numbers are in `{JSON}`.\n\n{_every(known)}",
        measured_on(view.evidence, known.rows),
        notes.written(),
    ]
    return "\n\n".join(part for part in parts if part)


def _told(best: Best) -> list[str]:
    if best.ratio.value > USABLE:
        return [f"{best.bytes / 1e6:.4g}", "none of use", _interval(best.ratio), "–", "–"]
    lead = "–" if best.lead is None else _interval(best.lead)
    return [f"{best.bytes / 1e6:.4g}", best.family, _interval(best.ratio), best.runner_up or "–", lead]


def _interval(of: Interval) -> str:
    return interval(of.value, of.low, of.high)


def _megabytes(of: Interval) -> str:
    return _interval(of.map(lambda size: size / 1e6))


def _refused(known: Comparison) -> list[str]:
    refused = {family: why for row in known.rows for family, why in (row.details.get("refused") or {}).items()}
    if not refused:
        return []
    lines = "\n".join(f"- {family}: {why}" for family, why in refused.items())
    return [f"## Families that this model does not take\n\n{lines}"]


def _every(known: Comparison) -> str:
    lines = []
    for point in known.points:
        bold = "**" if f"{point.family}: {point.method}" in known.front else ""
        lines.append(
            [
                f"{bold}{point.method}{bold}",
                point.family,
                f"{point.bytes / 1e6:.1f}",
                _interval(point.ratio),
                _interval(point.kl),
                f"{point.top1.value:.1%}",
                f"{point.seconds:.0f}",
            ]
        )
    headers = [
        "variant",
        "family",
        "MB",
        "perplexity over dense [95 %]",
        "KL, nats [95 %]",
        "same top token",
        "seconds",
    ]
    return table(lines, headers)


def as_json(known: Comparison) -> str:
    """Text of `footprint.json`: every point with its intervals, the best families and the crossings."""
    about = next((row for row in known.rows if row.model), known.rows[0])
    content: Mapping[str, Any] = {
        "schema": SCHEMA,
        "model": {"name": about.model, "sha256": about.model_sha256},
        "text": {"name": about.text, "sha256": about.text_sha256, "protocol": about.protocol},
        "effort": about.effort,
        "documents": about.documents,
        "verdict": about.verdict,
        "points": [
            {
                "family": point.family,
                "method": point.method,
                "bytes": int(point.bytes),
                "on_front": f"{point.family}: {point.method}" in known.front,
                **{name: vars(getattr(point, name)) for name in ("ratio", "kl", "top1")},
                "seconds": point.seconds,
            }
            for point in known.points
        ],
        "best": [
            {
                "bytes": int(best.bytes),
                "family": best.family,
                "ratio": vars(best.ratio),
                "runner_up": best.runner_up or None,
                "lead": vars(best.lead) if best.lead else None,
            }
            for best in known.best
        ],
        "crossings": [{"below": a, "above": b, "bytes": vars(at)} for a, b, at in known.crossings],
    }
    return json.dumps(clean(content), indent=1, ensure_ascii=False)
