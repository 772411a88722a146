"""Section of the survey's page on outlier features: magnitudes of hidden states by layer."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.plots import BLACK, BLUE, STYLE, VERMILLION, label_ends, plain_log, small_multiples
from bench.verdict.documents import Array
from bench.verdict.evidence import Arrays, Evidence

PLOT = "outlier-features.png"
INSTRUMENT = "outliers"
DENSE = "dense"
COLOURS = (BLUE, VERMILLION)
"""Of compressed models; the dense one is black."""
ORDERS = 100.0
"""Largest over median from which it is counted as orders of magnitude."""
TICKS = tuple(10.0**power for power in range(-4, 7))


def section(evidence: Evidence) -> tuple[list[str], dict[str, Figure]]:
    """Section and its plot; nothing where the dense model was not read."""
    known = magnitudes_of(evidence)
    if DENSE not in known:
        return [], {}
    text = (
        f"## Outlier features by layer\n\n![largest and median magnitude of hidden states by layer]({PLOT})\n\n"
        "Magnitudes of the hidden states that each block gives, geometric means over documents: the largest of all "
        "(solid),\nthe largest after position 0 (dashed) and the median (dotted), before and after compression of all "
        f"blocks. {where(known[DENSE])}"
    )
    return [text], {PLOT: plot(known)}


def magnitudes_of(evidence: Evidence) -> dict[str, Arrays]:
    """Numbers of each model's layers by its short name, the dense one first."""
    found = {
        variant.label: variant.arrays
        for variant in evidence.variants.values()
        if variant.instrument == INSTRUMENT and "hidden largest" in variant.arrays
    }
    return dict(sorted(found.items(), key=lambda item: (item[0] != DENSE, item[0])))


def where(arrays: Arrays) -> str:
    """Sentences on the layers, positions and features where the largest magnitudes of the dense model stand."""
    ratio, later = (_by_layer(arrays[f"hidden {over}"] / arrays["hidden median"]) for over in ("largest", "later"))
    layers, features = arrays["hidden feature"].shape[1], arrays["hidden feature"].astype(int)
    high = ratio >= ORDERS
    if not high.any():
        return f"The largest is nowhere {ORDERS:g} times the median; it is {ratio.max():.0f} times at most."
    first = float((arrays["hidden position"][:, high] == 0).mean())
    numbers, counts = np.unique(features[:, high], return_counts=True)
    commonest = int(counts.argmax())
    return (
        f"The largest is\n{ORDERS:g} times the median or more in {int(high.sum())} of {layers} blocks, up to "
        f"{ratio.max():,.0f} times (block {int(ratio.argmax())}). There it stands\nat position 0 in {first:.0%} "
        f"of the cases, and in feature {numbers[commonest]} in {counts[commonest] / counts.sum():.0%}. "
        f"After position 0 it is {later.max():,.0f} times the median at most."
    )


def plot(known: dict[str, Arrays]) -> Figure:
    """Largest and median magnitudes by layer, a colour a model."""
    with mpl.rc_context(STYLE):
        figure, (axes,) = small_multiples(1, columns=1, height=3.6)
        axes.set_yscale("log")
        ends = []
        for place, (name, arrays) in enumerate(known.items()):
            colour = BLACK if name == DENSE else COLOURS[(place - 1) % len(COLOURS)]
            ends += _lines(axes, name, arrays, colour)
        layers = max(arrays["hidden largest"].shape[1] for arrays in known.values())
        axes.set_xlim(0, max(layers - 1, 1) * 1.35)
        axes.set_xticks(range(0, layers, max(1, layers // 6)))
        plain_log(axes, "y", TICKS)
        axes.set_xlabel("block")
        axes.set_ylabel("magnitude of a hidden state")
        figure.draw_without_rendering()
        label_ends(axes, ends)
    return figure


def _lines(axes: Axes, name: str, arrays: Arrays, colour: str) -> list[tuple[float, float, str, str]]:
    """Draw a model's lines; their ends and labels."""
    ends = []
    kinds = (("largest", "-", "largest"), ("later", "--", "largest after position 0"), ("median", ":", "median"))
    for number, style, said in kinds:
        values = _by_layer(arrays[f"hidden {number}"])
        axes.plot(range(len(values)), values, style, color=colour, linewidth=1.6 if name == DENSE else 1.0)
        ends.append((len(values) - 1.0, float(values[-1]), f"{said}, {name}", colour))
    return ends


def _by_layer(values: Array) -> Array:
    """Geometric means over documents, `[documents, layers]` -> `[layers]`."""
    return np.exp(np.log(values.astype(np.float64)).mean(0))
