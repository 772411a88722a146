"""What the page of the Berkeley report has besides its claims: every seed, its tables, parameter columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bench.report.plots import STYLE, save
from bench.report.tables import table
from bench.verdict.evidence import Evidence

SEEDS, CURVES = "small-models-seeds.png", "small-models-pretraining.png"
TRAINED = frozenset({*(f"SL{i}" for i in range(2, 9)), "SV15", "SV16"})
PRINTED = {
    "SL2-skip": "−2.7 (75.5 of 78.2)",
    "SL2-skip-encoder": "−2.1 (76.1)",
    "SL3-2x-over-1x": "+0.8 (79.0)",
    "SL3-4x-over-2x": "+0.4 (79.4)",
    "SL4-1.5x-heads": "+1.0 (79.2)",
    "SL4-2x-head-size": "+1.0 (79.2)",
    "SL4-both": "+1.8 (80.0)",
    "SL5-3W-over-2W": "+0.5 (77.2 over 76.7)",
    "SL5-2W-over-1W": "+0.2 (76.7 over 76.5)",
    "SL5-1W-over-1W-ReLU": "+0.4 (76.5 over 76.1)",
    "SL6-4x-same-as-2x": "−0.1 (77.2 over 77.3)",
    "SL6-2x-over-1.5x": "+0.6 (77.3 over 76.7)",
    "SL6-1.5x-over-1.2x": "+0.1 (76.7 over 76.6)",
    "SL7-mean-mini": "+0.1 (79.5 over 79.4)",
    "SL7-mean-tiny": "0.0 (77.7 and 77.7)",
    "SL7-spread-mini": "3.9 (2.18 over 0.56)",
    "SL7-spread-tiny": "3.4 (3.35 over 0.99)",
}
"""Tables 4.1 to 4.6: maxima of five runs of T5-Mini on MNLI, mismatched, and standard deviations."""


def trained(found: Evidence) -> dict[str, dict[str, Any]]:
    """The seeds' results of every row that stands on trained variants, by row and variant."""
    rows = sorted(found.rows.values(), key=lambda row: row.row)
    return {row.row: row.details["variants"] for row in rows if row.claim in TRAINED and row.details.get("variants")}


def draw(found: Evidence, folder: Path) -> list[str]:
    """Write the plots and say what they are called."""
    known = trained(found)
    if not known:
        return []
    _strips(known, folder / SEEDS)
    _curves(known, folder / CURVES)
    return [SEEDS, CURVES]


def _strips(known: dict[str, dict[str, Any]], path: Path) -> None:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 1 + 0.22 * sum(map(len, known.values()))), layout="constrained")
        axes = figure.subplots()
        labels = []
        for row, variants in known.items():
            for name, variant in variants.items():
                values = variant["accuracy"]
                (line,) = axes.plot(values, [len(labels)] * len(values), "o", markersize=3, alpha=0.6)
                axes.plot([np.mean(values)], [len(labels)], "|", markersize=9, color=line.get_color())
                labels.append(f"{row}: {name}")
        axes.set_yticks(range(len(labels)), labels, fontsize=6)
        axes.invert_yaxis()
        axes.set(xlabel="percent right, a point a seed; the bar is their mean")
        save(figure, path)


def _curves(known: dict[str, dict[str, Any]], path: Path) -> None:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 4), layout="constrained")
        axes = figure.subplots()
        seen = set()
        for variants in known.values():
            for name, variant in variants.items():
                key = str(variant["curves"])
                if key in seen:
                    continue
                seen.add(key)
                curves = np.array(variant["curves"], dtype=float)  # None becomes NaN: a run that failed ends there
                line = axes.plot(curves.T, linewidth=0.5, alpha=0.6, color=f"C{len(seen) % 10}")[0]
                line.set_label(f"{name}{', ' + str(variant['failed']) + ' failed' if variant['failed'] else ''}")
        axes.set(xlabel="share of pre-training, fortieths", ylabel="loss of span corruption, nats a token")
        axes.legend(fontsize=5, ncols=3)
        save(figure, path)


def sections(found: Evidence) -> list[str]:
    """The page's own sections, those for which there is evidence."""
    return [*_tables(found), *_columns(found)]


def _tables(found: Evidence) -> list[str]:
    lines = []
    for row, variants in trained(found).items():
        for place, (name, variant) in enumerate(variants.items()):
            values = np.array(variant["accuracy"])
            lines.append(
                [
                    row if place == 0 else "",
                    PRINTED.get(row, "–") if place == 0 else "",
                    name,
                    f"{values.mean():.2f}",
                    f"{values.max():.2f}",
                    f"{values.std(ddof=1):.2f}",
                    str(len(values)),
                    str(variant["failed"]),
                ]
            )
    if not lines:
        return []
    headers = ["row", "the report's", "variant", "mean", "maximum", "standard deviation", "seeds", "failed"]
    return [
        "## Every variant over its seeds\n\nPercent right. The report gives the maximum of five runs. A maximum "
        "grows with the spread: of five normal values it\nlies 1.16 standard deviations above their mean, so a method "
        f"that is only less steady looks better by it.\n\n{table(lines, headers)}"
    ]


def _columns(found: Evidence) -> list[str]:
    row = found.rows.get("SL9-parameter-columns")
    if row is None or not row.details.get("columns"):
        return []
    lines = [
        [name, f"{printed:.3f}", f"{counted:.3f}", f"{counted / printed - 1:+.1%}"]
        for name, (printed, counted) in row.details["columns"].items()
    ]
    headers = ["row of Tables 4.1–4.5", "printed, millions", "by Table 3.1", "difference"]
    return [
        "## The parameter columns\n\nT5-Mini without embeddings, by the sizes of Table 3.1 (width 384, d_ff 1536, 8 "
        "heads of 32), against the printed\ncolumn. The printed differences between rows say where they part. Removing "
        "all networks takes 9.444M away, as two\nmatrices of 384 x 1536 a block do. One matrix in a network's place "
        "leaves 4.719M, as one of 384 x 1536 does, while the\nmethod's single matrix is 384 x 384 and leaves 1.180M. "
        "What is left without networks asks for attention 320 wide, not\n8 x 32.\n\n"
        f"{table(lines, headers)}"
    ]
