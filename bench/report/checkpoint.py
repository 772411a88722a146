"""The page of a checkpoint that a user brought: its verdict sheet, the columns of llama.cpp's table, bytes, context."""

from __future__ import annotations

from bench.report.tables import table
from bench.verdict.evidence import Evidence

CLAIM = "CHECKPOINT"


def page(found: Evidence, sheet: str) -> str:
    """The page, given its table of verdicts; empty where no checkpoint was judged."""
    rows = [row for row in found.rows.values() if row.claim == CLAIM and row.details.get("checkpoint")]
    if not rows:
        return ""
    newest = rows[-1]
    details = newest.details["checkpoint"]
    columns = [[name, _number(name, value)] for name, value in details["columns"].items()]
    sizes = details["sizes"]
    for place in ("on disk", "in memory"):
        whole, part = sizes[f"bytes {place}, dense"], sizes[f"bytes {place}"]
        columns.append([f"bytes {place}", f"{part:,} of {whole:,} ({part / whole:.1%})"])
    curve = [[positions, f"{value:.4g}"] for positions, value in details["kl_by_position"].items()]
    return (
        f"# {newest.model}\n\n{newest.documents} documents, {newest.tokens:,} tokens. {newest.protocol}.\n\n{sheet}\n\n"
        "## Columns\n\nNats a token where they are not shares; p(right) is the probability of the token that "
        "follows.\n\n"
        f"{table(columns, ['figure', 'value'])}\n\n## KL along the window\n\n{table(curve, ['positions', 'KL'])}"
    )


def _number(name: str, value: float) -> str:
    return f"{value:.2%}" if name.startswith("same top") else f"{value:.5g}"
