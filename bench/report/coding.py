"""Section of the survey's page on Deep Compression: its rate and quality by sparsity and bits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bench.report.tables import table

NAME = re.compile(r"^deep-compression-(?P<sparsity>[\d.]+)-(?P<bits>\d+)bits$")
FLOAT_BITS = 32
"""Bits of a weight that rates are counted from."""
LARGEST = 1e4
"""Perplexity ratio from which only its order is told."""


def curve(known: Mapping[str, dict[str, Any]]) -> list[str]:
    """Section with one cell a setting; none for fewer than two settings.

    Args:
        known: figures of variants by their method's name, as `bench.report.survey.variants_of` gives them.
    """
    cells = {
        (float(found["sparsity"]), int(found["bits"])): figures
        for name, figures in known.items()
        if (found := NAME.match(name))
    }
    if len(cells) < 2:
        return []
    widths = sorted({bits for _, bits in cells})
    lines = [
        [f"{sparsity:.0%}", *(_cell(cells.get((sparsity, bits))) for bits in widths)]
        for sparsity in sorted({sparsity for sparsity, _ in cells})
    ]
    headers = ["pruned", *(f"{2**bits} shared values" for bits in widths)]
    return [
        "## Deep Compression without retraining\n\nTimes smaller than 32 bits a weight, with every code, gap and table "
        f"counted, and perplexity over the dense model's.\n\n{table(lines, headers)}"
    ]


def _cell(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return "–"
    ratio = figures["ratio"]
    told = f"{ratio:.3g}" if ratio < LARGEST else f"over {LARGEST:,.0f}"
    return f"{FLOAT_BITS / figures['bits_per_weight']:.1f} times, {told}"
