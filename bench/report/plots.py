"""Plots of a folder's evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.long_context.windows import FIRST_BUCKET
from bench.verdict.claims import CLAIMS, LONG_CONTEXT
from bench.verdict.evidence import Evidence, Row

FAMILIES = {
    "magnitude pruning": ("magnitude-",),
    "Wanda": ("wanda-",),
    "weights quantized": ("rtn-w8-", "rtn-w4-", "rtn-w3-"),
    "weights and activations": ("rtn-w8a", "rtn-w4a", "rtn-w3a"),
    "random and largest pruned": ("random-", "largest-"),
}
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "lm-compression-bench",
}


def draw(found: Evidence, folder: Path) -> dict[str, list[str]]:
    """Write a folder's plots and say, by paper, what they are called."""
    rows = [row for row in found.rows.values() if row.claim in CLAIMS and row.details.get("series")]
    variants = {row.method: row for row in rows}
    drawn = []
    if variants:
        drawn = ["kl-against-context.png", "kl-along-one-pass.png"]
        _panels(variants, folder / drawn[0], _against_context, "tokens of left context (same targets)")
        _panels(variants, folder / drawn[1], _along_pass, "position in one pass")
    theory = {row.row: row for row in found.rows.values() if row.details.get("variances")}
    if theory:
        drawn.append("noise-against-position.png")
        _noise(theory, folder / drawn[-1])
    return {LONG_CONTEXT.key: drawn}


def _panels(variants: dict[str, Row], path: Path, plot: object, label: str) -> None:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 6.5), layout="constrained")
        grid = figure.subplots(2, 3).ravel()
        for axes, (family, prefixes) in zip(grid, FAMILIES.items(), strict=False):
            for method, row in sorted(variants.items()):
                if method.startswith(prefixes):
                    plot(axes, method, row)  # type: ignore[operator]
            if not axes.lines:
                continue
            axes.set(title=family, xlabel=label, ylabel="KL compressed‖dense, nats a token", yscale="log")
            _tokens_axis(axes)
            axes.legend(fontsize=6)
        for axes in grid:
            axes.set_visible(bool(axes.lines))
        save(figure, path)


def _tokens_axis(axes: Axes) -> None:
    """Powers of two, written out."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _against_context(axes: Axes, method: str, row: Row) -> None:
    contexts, series = row.details["contexts"], row.details["series"]["kl"]
    (line,) = axes.plot(contexts, [value for value, _, _ in series], marker="o", markersize=3, label=method)
    lows = [max(low, 1e-9) for _, low, _ in series]  # the axis is logarithmic
    axes.fill_between(contexts, lows, [high for _, _, high in series], color=line.get_color(), alpha=0.15)


def _along_pass(axes: Axes, method: str, row: Row) -> None:
    positions, values = row.details["positions"], row.details["resolved"]
    xs, ys, low = [], [], FIRST_BUCKET
    while positions and low <= positions[-1]:  # there are none where all contexts are short
        inside = [v for p, v in zip(positions, values, strict=True) if low <= p < 2 * low]
        if inside:
            xs.append(low * 2**0.5)
            ys.append(max(sum(inside) / len(inside), 1e-9))
        low *= 2
    if xs:
        axes.plot(xs, ys, marker="o", markersize=3, label=method)


def _noise(rows: dict[str, Row], path: Path) -> None:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5, 3.5), layout="constrained")
        axes = figure.subplots()
        for name, row in sorted(rows.items()):
            variances = row.details["variances"]
            scaled = [value / variances[0] for value in variances]
            axes.plot(row.details["positions"], scaled, marker="o", markersize=3, label=f"{name}: t^{row.value:.2f}")
        axes.set(yscale="log", xlabel="position t", ylabel="variance of the noise in h_t, scaled")
        _tokens_axis(axes)
        axes.legend(fontsize=6)
        save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure aside and move it into place; the same figure gives the same file."""
    beside = path.with_suffix(".part")
    figure.savefig(beside, format="png", dpi=130, metadata={"Software": None})
    beside.replace(path)
