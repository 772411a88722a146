"""What the survey's page has besides its claims: quality against real bytes, and every variant's columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.report.plots import STYLE, save
from bench.report.tables import table
from bench.verdict.evidence import Evidence

PLOT = "quality-against-bytes.png"
FAMILIES = {
    "GPTQ": "gptq",
    "round to nearest": "rtn",
    "AWQ": "awq",
    "floating point": "fp",
    "SparseGPT": "sparsegpt",
    "Wanda": "wanda",
    "magnitude": "magnitude",
    "structured": "structured",
    "Deep Compression": "deep",
    "8-bit": "",
}
"""By the beginning of the method's name; the last takes what is left."""


def variants(found: Evidence) -> dict[str, dict[str, Any]]:
    """Every variant that was scored on whole windows, by the method's name."""
    scored = (row.details.get("survey") for row in found.rows.values())
    return {details["method"]: details for details in scored if details}


def draw(found: Evidence, folder: Path) -> list[str]:
    """Write the plot and say what it is called."""
    known = variants(found)
    if not known:
        return []
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        left = dict(known)
        for family, prefix in FAMILIES.items():
            mine = {name: left.pop(name) for name in list(left) if name.startswith(prefix)}
            if not mine:
                continue
            points = sorted((details["packed_bytes"] / 1e6, details["ratio"], name) for name, details in mine.items())
            axes.plot([x for x, _, _ in points], [y for _, y, _ in points], "o", markersize=4, label=family)
            for x, y, name in points:
                axes.annotate(name, (x, y), fontsize=5, xytext=(3, 2), textcoords="offset points")
        axes.set(
            xlabel="packed size of the compressed layers, MB (values, scales, zero points, masks)",
            ylabel="perplexity over the dense model's",
            yscale="log",
            xscale="log",
        )
        axes.axhline(1, color="grey", linewidth=0.5)
        axes.legend(fontsize=6)
        save(figure, folder / PLOT)
    return [PLOT]


def sections(found: Evidence) -> list[str]:
    """The page's own sections, those for which there is evidence."""
    known = variants(found)
    if not known:
        return []
    lines = []
    for name, details in sorted(known.items(), key=lambda item: item[1]["packed_bytes"]):
        high = details["percentiles"]
        lines.append(
            [
                name,
                f"{details['bits_per_weight']:.2f}",
                f"{details['packed_bytes'] / 1e6:.1f}",
                f"{details['held_bytes'] / 1e6:.1f}" if "held_bytes" in details else "–",
                f"{details['sparsity']:.0%}",
                f"{details['ratio']:.4g}",
                f"{details['kl']:.4g}",
                f"{high['50']:.3g} / {high['99']:.3g} / {high['99.9']:.3g}",
                f"{details['agreement']:.1%}",
                f"{details['seconds']:.1f}",
                str(details["noted"] or ""),
            ]
        )
    headers = [
        "variant",
        "bits a weight",
        "packed MB",
        "MB in memory",
        "zeros",
        "perplexity over dense",
        "mean KL",
        "KL at 50 / 99 / 99.9 %",
        "same top token",
        "seconds to compress",
        "layers noted",
    ]
    parts = [
        "## Every variant, smallest first\n\nPerplexity ratio and KL (compressed‖dense, nats a token) over whole "
        "windows. Structured pruning holds\nreally smaller matrices; all others are simulated at full width, and their "
        "size is what codes, scales, zero points\nand masks would take. Seconds are calibration and compression "
        f"together. A layer is noted where a damping had to be\nraised.\n\n{table(lines, headers)}"
    ]
    return [*parts, *_harness(known)]


HARNESS = {
    "word_perplexity": "word perplexity",
    "byte_perplexity": "byte perplexity",
    "bits_per_byte": "bits per byte",
    "lambada_perplexity": "last-word perplexity",
    "lambada_acc": "last-word accuracy",
}


def _harness(known: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        [name, *(f"{found[key]:.5g}" if key in (found := details["harness"]) else "–" for key in HARNESS)]
        for name, details in sorted(known.items())
        if details["harness"]
    ]
    if not lines:
        return []
    return [
        "## Under lm-evaluation-harness\n\nIts `wikitext` task on the beginnings of the scored documents and its "
        "`lambada_openai` task on LAMBADA (`--data-dir`)\nor, without it, on runs of 60 words of the scored documents; "
        f"the variant in memory.\n\n{table(lines, ['variant', *HARNESS.values()])}"
    ]
