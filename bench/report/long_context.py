"""Further sections of the long-context page: growth of KL with context, KL along a pass, noise."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.plots import (
    PALETTE,
    SHADE,
    STYLE,
    WIDTH,
    label_ends,
    plain_log,
    small_multiples,
    tokens_axis,
)
from bench.report.tables import interval, table
from bench.verdict.claims import CLAIMS
from bench.verdict.evidence import Evidence, Result
from bench.verdict.regions import UNCHANGED

GROWTH, NOISE = "kl-against-context.png", "noise-against-position.png"
FAMILIES = (
    ("groups protected", r"keep"),
    ("magnitude pruning", r"^magnitude"),
    ("Wanda", r"^wanda"),
    ("weights and activations", r"^rtn-w\d+a"),
    ("weights quantized", r"^(rtn|gptq|awq)-w\d+"),
    ("cache quantized", r"kv|cache"),
    ("random and largest pruned", r"^(random|largest|smallest)"),
    ("others", r""),
)
"""The first whose pattern a method's name has is its panel."""
FLAT = UNCHANGED.high ** (1 / 4)
"""Change per doubling of context up to which KL counts as flat: the band of levels over four doublings."""
FIRST_POSITION = 32


def extras(evidence: Evidence) -> tuple[list[str], dict[str, Figure]]:
    """Sections and figures, those for which there is evidence."""
    variants = curves_of(evidence)
    theory = {row.row: row for row in evidence.rows.values() if row.details.get("variances")}
    figures = ({GROWTH: _growth(variants)} if variants else {}) | ({NOISE: _noise(theory)} if theory else {})
    parts = [_growth_section() if variants else "", _noise_section() if theory else "", *_tables(variants)]
    return [part for part in parts if part], figures


def curves_of(evidence: Evidence) -> dict[str, Result]:
    """A row of every method whose KL was measured at several contexts, by the method's name."""
    rows = [row for row in evidence.rows.values() if row.claim in CLAIMS and row.details.get("series")]
    return {row.method: row for row in sorted(rows, key=lambda row: row.method)}


def families_of(variants: Mapping[str, Result]) -> dict[str, dict[str, Result]]:
    """Methods by family, in the order of the panels."""
    families: dict[str, dict[str, Result]] = {family: {} for family, _ in FAMILIES}
    for method, row in variants.items():
        family = next(family for family, pattern in FAMILIES if re.search(pattern, method))
        families[family][method] = row
    return {family: members for family, members in families.items() if members}


def growth_of(row: Result) -> list[float]:
    """KL at every context over KL at the shortest."""
    values = [math.nan if value is None else value for value, _, _ in row.details["series"]["kl"]]
    return [value / values[0] if values[0] > 0 else math.nan for value in values]


def short_names(names: list[str]) -> list[str]:
    """Names without the words that all of them have; a single name stays."""
    if len(names) < 2:
        return names
    common = set.intersection(*(set(name.split("-")) for name in names))
    return ["-".join(word for word in name.split("-") if word not in common) or name for name in names]


def _growth(variants: Mapping[str, Result]) -> Figure:
    families = families_of(variants)
    with mpl.rc_context(STYLE):
        figure, grid = small_multiples(len(families), columns=2, height=2.15)
        for axes, (family, members) in zip(grid, families.items(), strict=True):
            _curves(axes, members)
            axes.set_title(family, loc="left")
        for place, axes in enumerate(grid):
            plain_log(axes, "y", (0.5, 0.63, 0.71, 0.8, 0.9, 1, 1.1, 1.25, 1.4, 1.6, 2, 3, 4))
            if place % 2 == 0:
                axes.set_ylabel("KL over KL at\nthe shortest context")
        for axes in grid[-2:]:
            axes.set_xlabel("tokens of left context, the same targets")
        figure.draw_without_rendering()
        for axes, members in zip(grid, families.values(), strict=True):
            label_ends(axes, _ends(members))
    return figure


def _curves(axes: Axes, members: Mapping[str, Result]) -> None:
    contexts = sorted({context for row in members.values() for context in row.details["contexts"]})
    doublings = np.log2(np.array(contexts) / contexts[0])
    axes.fill_between(contexts, FLAT**-doublings, FLAT**doublings, color=SHADE, linewidth=0)
    axes.plot([contexts[0], contexts[-1]], [1, 1], color="grey", linewidth=0.6, zorder=1)
    for colour, row in zip(_colours(members), members.values(), strict=True):
        axes.plot(row.details["contexts"], growth_of(row), marker="o", markersize=3.5, color=colour)
    axes.set_yscale("log", base=2)
    tokens_axis(axes, contexts)
    axes.set_xlim(contexts[0] * 0.93, contexts[-1] * (contexts[-1] / contexts[0]) ** 0.62)
    axes.spines["bottom"].set_bounds(contexts[0] * 0.93, contexts[-1])


def _colours(members: Mapping[str, Result]) -> list[str]:
    return [PALETTE[place % len(PALETTE)] for place in range(len(members))]


def _ends(members: Mapping[str, Result]) -> list[tuple[float, float, str, str]]:
    """End of every line with the method and the KL that it starts from."""
    names = short_names(list(members))
    return [
        (
            row.details["contexts"][-1],
            growth_of(row)[-1],
            f"{name}  (KL {row.details['series']['kl'][0][0]:.2g})",
            colour,
        )
        for name, row, colour in zip(names, members.values(), _colours(members), strict=True)
        if math.isfinite(growth_of(row)[-1])
    ]


def _growth_section() -> str:
    return (
        "## Growth of KL with context\n\n"
        f"![KL over KL at the shortest context, by family]({GROWTH})\n\n"
        "Means over documents; in brackets the KL at the shortest context, in nats a token. Lines that stay in the "
        f"shaded wedge change\nby less than a factor of {FLAT:.3g} per doubling of context, which counts as flat. "
        "The intervals are in the first plot."
    )


def _noise(theory: Mapping[str, Result]) -> Figure:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH * 0.62, 3), layout="constrained")
        axes = figure.subplots()
        ends = []
        for colour, (name, row) in zip(PALETTE, sorted(theory.items()), strict=False):
            positions, variances = row.details["positions"], np.array(row.details["variances"])
            scaled = variances / variances[0]
            axes.plot(positions, scaled, marker="o", markersize=3.5, color=colour)
            slope = "" if row.value is None else f": $t^{{{row.value:.2f}}}$"
            ends.append((positions[-1], scaled[-1], name.removeprefix(f"{row.claim}-") + slope, colour))
        axes.set_yscale("log")
        tokens_axis(axes, positions)
        axes.set_xlim(positions[0] * 0.93, positions[-1] * (positions[-1] / positions[0]) ** 0.35)
        axes.set(xlabel="position t", ylabel="variance of the noise in h_t,\nover that at the first position")
        figure.draw_without_rendering()
        label_ends(axes, ends)
    return figure


def _noise_section() -> str:
    return f"## The noise that attention sums (LC7)\n\n![variance of the noise against position]({NOISE})"


def _tables(variants: Mapping[str, Result]) -> list[str]:
    if not variants:
        return []
    return [_every_context(variants), *_along_pass(variants)]


def _every_context(variants: Mapping[str, Result]) -> str:
    lines = [line for method, row in variants.items() for line in _context_lines(method, row)]
    headers = ["variant", "zeros", "bits a weight", "context", "KL(p‖q)", "KL(q‖p)", "same top token", "change in loss"]
    packed = [row.details["summary"] for row in variants.values() if row.details["summary"]]
    held = (
        f" The {packed[0]['layers']:.0f} compressed layers are simulated at full width\n"
        f"({packed[0]['held_bytes'] / 1e6:.0f} MB in memory); {packed[0]['skipped']:.0f} modules (embeddings, norms, "
        "output matrix) are left as they are."
        if packed
        else ""
    )
    return (
        "## Every variant at every context\n\nNats a token, p the compressed model and q the dense one; perplexity "
        "changes by the factor exp(change in loss).\nBits count codes or kept values, scales, zero points and masks."
        f"{held}\n\n" + table(lines, headers)
    )


def _context_lines(method: str, row: Result) -> list[list[object]]:
    series, packed = row.details["series"], row.details["summary"]
    lines = []
    for place, context in enumerate(row.details["contexts"]):
        sizes = [f"{packed['sparsity']:.1%}", f"{packed['bits_per_weight']:.2f}"] if packed else ["–", "–"]
        name = [method, *sizes] if place == 0 else ["", "", ""]
        kl, reverse, change = (_interval(series[key][place]) for key in ("kl", "reverse_kl", "loss_change"))
        lines.append([*name, context, kl, reverse, f"{series['agreement'][place][0]:.1%}", change])
    return lines


def _interval(numbers: list[float | None]) -> str:
    """Estimate and bounds; a dash where one is not finite, for which the record has nothing."""
    value, low, high = numbers
    return "–" if value is None or low is None or high is None else interval(value, low, high)


def _along_pass(variants: Mapping[str, Result]) -> list[str]:
    buckets = {method: bucketed(row.details["positions"], row.details["resolved"]) for method, row in variants.items()}
    places = sorted({place for means in buckets.values() for place in means})
    if not places:
        return []
    lines = [[method, *(f"{means[p]:.3g}" if p in means else "–" for p in places)] for method, means in buckets.items()]
    headers = ["variant", *(f"{place:,}–{2 * place - 1:,}" for place in places)]
    return [
        "## KL along one pass\n\nMean KL at the positions of the longest window, in nats a token: the second view of "
        "context, of other targets at every\nposition.\n\n" + table(lines, headers)
    ]


def bucketed(positions: list[int], values: list[float]) -> dict[int, float]:
    """Mean of the values at positions that double, by the first position of each bucket."""
    means, first = {}, FIRST_POSITION
    while positions and first <= positions[-1]:
        inside = [value for place, value in zip(positions, values, strict=True) if first <= place < 2 * first]
        if inside:
            means[first] = sum(inside) / len(inside)
        first *= 2
    return means
