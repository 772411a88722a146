"""Further sections of the survey's page: quality against real bytes, and every variant's figures."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.report import coding, low_rank, outliers, preferences, seeds, trained
from bench.report.gptq import why_rounding_wins
from bench.report.plots import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    STYLE,
    VERMILLION,
    WIDTH,
    label_points,
    plain_log,
)
from bench.report.tables import table
from bench.verdict.claims import SURVEY
from bench.verdict.evidence import Evidence, Variant

PLOT, SEEDS = "quality-against-bytes.png", "survey-seeds.png"
INSTRUMENT = "survey"
CEILING = 8.0
"""Perplexity over the dense model's beyond which a point is drawn at the upper edge."""
LARGEST_EXPONENT = 700.0
"""Largest exponent, about, whose power of e a float can hold."""
PERCENTILES = ("50", "90", "99", "99.9")
FAMILIES = (
    ("GPTQ", r"^gptq", VERMILLION, "o"),
    ("RTN", r"^rtn", BLUE, "s"),
    ("AWQ", r"^awq", PURPLE, "D"),
    ("FP", r"^fp", SKY, "v"),
    ("salient in 16 bits", r"^salient", BLACK, "D"),
    ("SparseGPT", r"^sparsegpt", GREEN, "<"),
    ("Wanda", r"^wanda", ORANGE, "P"),
    ("magnitude", r"^magnitude", BLACK, "X"),
    ("structured", r"^structured", GREY, "h"),
    ("Deep Compression", r"^deep-compression", PURPLE, "*"),
    ("LLM.int8", r"^llm-int8", GREEN, "d"),
    ("SmoothQuant", r"^smoothquant", ORANGE, "p"),
    ("SVD", r"^svd", SKY, "x"),
    ("Fisher SVD", r"^fisher-svd", BLUE, "x"),
    ("activation SVD", r"^activation-svd", VERMILLION, "x"),
    ("low rank and sparse", r"^low-rank", GREEN, "+"),
    ("scaled low rank and sparse", r"^scaled-low-rank", ORANGE, "+"),
    ("", r"", GREY, "o"),
)
"""Label, pattern of the method's name, colour and marker."""
HARNESS = {
    "word_perplexity": "word perplexity",
    "byte_perplexity": "byte perplexity",
    "bits_per_byte": "bits per byte",
    "lambada_perplexity": "last-word perplexity",
    "lambada_acc": "last-word accuracy",
}


def variants_of(evidence: Evidence) -> dict[str, dict[str, Any]]:
    """Figures of every variant that was scored on whole windows, by the method's name."""
    kept = [variant for variant in evidence.variants.values() if variant.instrument == INSTRUMENT]
    scored = (row.details.get("survey") for row in evidence.rows.values())
    of_rows = {details["method"]: _whole(details) for details in scored if details}
    return of_rows | {
        variant.label or variant.name: figures_of(variant) for variant in kept if "loss" in variant.arrays
    }


def _whole(details: dict[str, Any]) -> dict[str, Any]:
    """Figures in which JSON's null, which stands for what is not finite, is infinity again."""
    known = {name: math.inf if value is None else value for name, value in details.items() if name != "percentiles"}
    percentiles = {place: math.inf if value is None else value for place, value in details["percentiles"].items()}
    return known | {"percentiles": percentiles}


def figures_of(variant: Variant) -> dict[str, Any]:
    """Figures of one variant on record, from its arrays."""
    arrays = variant.arrays
    single = {name: float(values) for name, values in arrays.items() if np.ndim(values) == 0}
    means = {
        "ratio": math.exp(min(float(arrays["loss"].mean() - arrays["dense_loss"].mean()), LARGEST_EXPONENT)),
        "kl": float(arrays["kl"].mean()),
        "agreement": float(arrays["agreement"].mean()),
        "percentiles": dict(zip(PERCENTILES, map(float, arrays["percentiles"]), strict=False)),
        "harness": {name: single[name] for name in HARNESS if name in single},
    }
    return {"noted": 0, "seconds": variant.seconds} | single | means


def extras(evidence: Evidence) -> tuple[list[str], dict[str, Figure]]:
    """Sections and figures, those for which there is evidence."""
    known = variants_of(evidence)
    figures = {PLOT: _pareto(known)} if len(known) > 1 else {}
    parts = [_pareto_section()] if figures else []
    if figure := seeds.strips(evidence, SURVEY):
        figures[SEEDS] = figure
        parts.append(seeds.strips_section(SEEDS))
        parts.extend(seeds.tables(evidence, SURVEY))
    parts += [*why_rounding_wins(evidence), *coding.curve(known), *low_rank.sections(known, evidence)]
    parts += [*trained.section(evidence), *preferences.section(evidence)]
    sections, plots = outliers.section(evidence)
    parts, figures = [*parts, *sections], figures | plots
    return [*parts, *_every_variant(known), *_harness(known)], figures


def front_of(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names of the points that no other beats in both size and quality, by size."""
    best, front = math.inf, []
    for name, (_, quality) in sorted(points.items(), key=lambda item: item[1]):
        if quality < best:
            front.append(name)
            best = quality
    return front


def _pareto(known: Mapping[str, dict[str, Any]]) -> Figure:
    points = {name: (of["packed_bytes"] / 1e6, max(of["ratio"], 1e-9)) for name, of in known.items()}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 5.6), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        sizes = [size for size, _ in points.values()]
        lowest = min(quality for _, quality in points.values())
        axes.set(xscale="log", yscale="log", xlim=(min(sizes) / 1.25, max(sizes) * 1.35))
        axes.set_ylim(min(lowest, 1) / 1.12, CEILING * 1.06)
        plain_log(axes, "x", (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000))
        plain_log(axes, "y", (0.5, 0.8, 1, 1.2, 1.5, 2, 3, 4, 5, 6, 8))
        axes.set_xlabel("packed size of the compressed layers, MB (values, scales, zero points, masks)")
        axes.set_ylabel("perplexity over the dense model's")
        axes.axhline(1, color=GREY, linewidth=0.6)
        _front(axes, points)
        labels = [label for family in FAMILIES for label in _family(axes, family, points, known)]
        figure.draw_without_rendering()
        label_points(axes, labels)
    return figure


def _front(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    front = [points[name] for name in front_of(points) if points[name][1] <= CEILING]
    if not front:
        return
    front = [(front[0][0], CEILING), *front, (axes.get_xlim()[1], front[-1][1])]
    axes.step(*zip(*front, strict=True), where="post", color="#CCCCCC", linewidth=5, zorder=0, solid_capstyle="butt")


def family_of(name: str) -> tuple[str, str, str, str]:
    """Family of a method, by its name."""
    return next(family for family in FAMILIES if re.search(family[1], name))


def _family(
    axes: Axes, family: tuple[str, str, str, str], points: Mapping[str, tuple[float, float]], known: Mapping[str, Any]
) -> list[tuple[float, float, str, str]]:
    """Draw a family's points, joined in order of bits; its labels."""
    _, _, colour, marker = family
    mine = sorted(name for name in points if family_of(name) == family)
    line = sorted((known[name]["bits_per_weight"], *points[name]) for name in mine if points[name][1] <= CEILING)
    if len(line) > 1:
        axes.plot([x for _, x, _ in line], [y for _, _, y in line], color=colour, linewidth=0.8, alpha=0.5, zorder=1)
    labels = []
    for name in mine:
        size, quality = points[name]
        beyond = quality > CEILING
        axes.plot([size], [min(quality, CEILING)], "^" if beyond else marker, color=colour, markersize=6, zorder=3)
        short = _short(family, name) + (f" ↑ {_times(quality)}" if beyond else "")
        labels.append((size, min(quality, CEILING), short, colour))
    return labels


def _times(quality: float) -> str:
    if math.isinf(quality):
        return "∞"
    return f"{quality:,.0f}" if quality < 1e5 else f"{quality:.1e}".replace("e+0", "e")


def _short(family: tuple[str, str, str, str], name: str) -> str:
    """Family and what tells its members apart: bits, sparsity, calibration."""
    words = re.split(r"[-\s]+", re.sub(family[1], "", name))
    return " ".join([family[0], *(word for word in words if word and not re.fullmatch(r"g\d+", word))])


def _pareto_section() -> str:
    return (
        f"## Quality against bytes\n\n![perplexity over the dense model's against packed size]({PLOT})\n\n"
        "The broad grey line is the Pareto front: nothing that is smaller is as good. Points above "
        f"{CEILING:g} times the dense model's perplexity are drawn\nat the upper edge, with an arrow and their value; "
        "thin lines join a family in order of bits."
    )


def _every_variant(known: Mapping[str, dict[str, Any]]) -> list[str]:
    if not known:
        return []
    lines = [_line(name, of) for name, of in sorted(known.items(), key=lambda item: item[1]["packed_bytes"])]
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
        "seconds",
    ]
    return [
        "## Every variant, smallest first\n\nPerplexity ratio and KL (compressed‖dense, nats a token) over whole "
        "windows. Structured pruning and low rank hold really\nsmaller matrices; all others are simulated at full "
        "width, and their packed size is what codes, scales, zero points and masks would\ntake. Seconds are "
        "calibration and compression together. An asterisk marks a variant with layers whose damping was raised.\n\n"
        + table(lines, headers)
    ]


def _line(name: str, of: Mapping[str, Any]) -> list[str]:
    high = of["percentiles"]
    return [
        name + ("\\*" if of.get("noted") else ""),
        f"{of['bits_per_weight']:.2f}",
        f"{of['packed_bytes'] / 1e6:.1f}",
        f"{of['held_bytes'] / 1e6:.1f}" if "held_bytes" in of else "–",
        f"{of['sparsity']:.0%}",
        _times(of["ratio"]) if of["ratio"] >= 100 else f"{of['ratio']:.4g}",
        f"{of['kl']:.3g}",
        " / ".join(f"{high[place]:.3g}" if place in high else "–" for place in ("50", "99", "99.9")),
        f"{of['agreement']:.1%}",
        f"{of['seconds']:.1f}",
    ]


def _harness(known: Mapping[str, dict[str, Any]]) -> list[str]:
    lines = [
        [name, *(f"{scores[key]:.5g}" if key in (scores := of["harness"]) else "–" for key in HARNESS)]
        for name, of in sorted(known.items())
        if of["harness"]
    ]
    if not lines:
        return []
    return [
        "## Under lm-evaluation-harness\n\nIts `wikitext` task on the beginnings of the scored documents and its "
        "`lambada_openai` task on LAMBADA (`--data-dir`)\nor, without it, on runs of 60 words of the scored documents; "
        f"the variant in memory.\n\n{table(lines, ['variant', *HARNESS.values()])}"
    ]
