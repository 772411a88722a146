"""Section of the survey's page on models that were trained: perplexity of every seed, rate, zeros and size."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.report.tables import table
from bench.verdict.evidence import Evidence

DETAILS = "trained"
"""Key under which rows keep what they show of such models."""
HEADERS = ["model", "claims", "factor on the rate", "zeros", "bits a weight", "perplexity", "of each seed"]


def models_of(evidence: Evidence) -> dict[str, dict[str, Any]]:
    """Models that rows keep figures of, by their full names, with the claims that stand on them."""
    known: dict[str, dict[str, Any]] = {}
    for row in evidence.rows.values():
        for name, details in (row.details.get(DETAILS) or {}).items():
            claims = {*known.get(name, {}).get("claims", ()), row.claim}
            known[name] = {**details, "claims": claims}
    return known


def section(evidence: Evidence) -> list[str]:
    """Section with one line a model, by claim and then by perplexity; none where there is no model."""
    known = models_of(evidence)
    if not known:
        return []
    lines = sorted((_line(of) for of in known.values()), key=lambda line: (line[1], float(line[5])))
    return [
        "## Models that were trained\n\nEach at the rate that was best on held-out text, as a factor on the dense "
        "model's, and its perplexity on scored documents,\nthose of fine-tuned ones on another domain. Tokens are "
        f"bytes at the embedded scale.\n\n{table(lines, HEADERS)}"
    ]


def _line(of: dict[str, Any]) -> list[str]:
    rate, bits, seeds = of["rate"], of["bits_per_weight"], of["perplexity"]
    return [
        of["name"],
        ", ".join(sorted(of["claims"])),
        "–" if rate is None else f"{rate:g}",
        f"{of['sparsity']:.0%}",
        "–" if bits is None else f"{bits:.2f}",
        f"{np.mean(seeds):.4g}",
        " / ".join(f"{each:.4g}" for each in seeds),
    ]
