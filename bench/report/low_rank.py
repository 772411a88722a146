"""Sections of the survey's page on low rank: quality by share of the bytes, and what feature distillation recovers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bench.report.tables import table
from bench.verdict.evidence import Evidence

NAME = re.compile(r"^(?P<kind>(?:fisher-|activation-)?svd)-(?P<share>[\d.]+)(?P<only>(?:-[a-z]+)*)$")
KINDS = {"svd": "SVD", "fisher-svd": "Fisher-weighted", "activation-svd": "activation-aware"}
LARGEST = 1e4
"""Perplexity ratio from which only its order is told."""


def sections(known: Mapping[str, dict[str, Any]], evidence: Evidence) -> list[str]:
    """Sections for which there is evidence.

    Args:
        known: figures of variants by their method's name, as `bench.report.survey.variants_of` gives them.
        evidence: that holds the rows on feature distillation.
    """
    return [*_shares(known), *_features(evidence)]


def _shares(known: Mapping[str, dict[str, Any]]) -> list[str]:
    """Table with a line for every share and choice of layers, and a column for every weighting."""
    cells: dict[tuple[str, float], dict[str, Mapping[str, Any]]] = {}
    for name, figures in known.items():
        if found := NAME.match(name):
            place = found["only"].strip("-").replace("-", ", "), float(found["share"])
            cells.setdefault(place, {})[found["kind"]] = figures
    if len(cells) < 2:
        return []
    lines = [
        [
            only or "all",
            f"{share:.0%}",
            f"{next(iter(of.values()))['packed_bytes'] / 1e6:.1f}",
            *(_ratio(of[kind]["ratio"]) if kind in of else "–" for kind in KINDS),
        ]
        for (only, share), of in sorted(cells.items())
    ]
    headers = ["layers with factors", "share of their bytes", "MB of all", *KINDS.values()]
    return [
        "## Low rank\n\nPerplexity over the dense model's with two thin matrices in the place of a weight, by the "
        f"share of its bytes that they take. Layers without\nfactors stay dense and count.\n\n{table(lines, headers)}"
    ]


def _ratio(ratio: float) -> str:
    return f"{ratio:.3g}" if ratio < LARGEST else f"over {LARGEST:,.0f}"


def _features(evidence: Evidence) -> list[str]:
    """Table of the starts that feature distillation was given."""
    shown: dict[str, dict[str, Any]] = {}
    for row in evidence.rows.values():
        shown |= row.details.get("features", {})
    if not shown:
        return []
    lines = [
        [
            name,
            f"{of['bytes'] / 1e6:.1f}",
            "–" if of["rate"] is None else f"{of['rate']:g}",
            "–" if of["error_before"] is None else f"{of['error_before']:.3g} → {of['error_after']:.3g}",
            _ratio(of["perplexity_ratio"]),
        ]
        for name, of in sorted(shown.items(), key=lambda item: -item[1]["perplexity_ratio"])
    ]
    headers = ["factors", "MB", "learning rate", "error of hidden states", "perplexity over dense"]
    return [
        "## Feature distillation of factors\n\nFactors of the first blocks, or of all, trained block by block to give "
        "the dense model's hidden states; squared errors over\nsquared lengths, the mean over blocks, on what they "
        f"were trained on. The learning rate is that of three which erred least\nelsewhere.\n\n{table(lines, headers)}"
    ]
