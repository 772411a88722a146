"""Section of the survey's page on why plain GPTQ does not beat rounding on a model with an attention sink."""

from __future__ import annotations

from bench.report.tables import measured, table
from bench.verdict.evidence import Evidence, Result

WIDTHS = (4, 3, 2, 8)
PLAIN, PATCHED = "rtn-over-gptq", "gptq-over-first-values-dense"
RECIPE, WEIGHTED = "rtn-over-gptq-recipe", "rtn-over-gptq-first-tokens"
PAIRS = {
    PLAIN: "rounding over plain GPTQ",
    PATCHED: "plain GPTQ over itself with the first position's values dense",
    RECIPE: "rounding over GPTQ by its authors' recipe",
    WEIGHTED: "rounding over that recipe with first tokens weighted in the Hessian",
}
"""Rows of SV9 by the middle of their names: whose perplexity over whose."""
WHY = (
    "Much of a decoder's attention goes to position 0, whose normed input is small: it counts for next to nothing in "
    "the\nHessian, so plain GPTQ makes up for other tokens' errors at the expense of its value vector, which all later "
    "tokens\nread. That shows where these values are left dense, all else as plain GPTQ has it, or first tokens are "
    "weighted in\nthe Hessian. Ratios of perplexities: above 1 the second is better."
)


def why_rounding_wins(evidence: Evidence) -> list[str]:
    """Section with the numbers on record; none where plain GPTQ loses at no width or its patch was not measured."""
    known = {bits: rows for bits in WIDTHS if (rows := _rows(evidence, bits)).keys() >= {PLAIN, PATCHED}}
    losing = {bits: rows for bits, rows in known.items() if _value(rows[PLAIN]) < 1}
    if not losing:
        return []
    lines = [
        [words, *(measured(rows[pair]) if pair in rows else "–" for rows in known.values())]
        for pair, words in PAIRS.items()
        if any(pair in rows for rows in known.values())
    ]
    headers = ["perplexity of", *(f"{bits} bits" for bits in known)]
    said = "\n".join(_said(bits, rows) for bits, rows in losing.items())
    return [f"## Why plain GPTQ does not beat rounding here\n\n{WHY}\n\n{table(lines, headers)}\n\n{said}"]


def _rows(evidence: Evidence, bits: int) -> dict[str, Result]:
    """Rows at a width that were measured and may be judged, by the pair that they compare."""
    rows = {pair: evidence.rows.get(f"SV9-{pair}-w{bits}") for pair in PAIRS}
    return {pair: row for pair, row in rows.items() if row is not None and row.value is not None and not row.doubt}


def _value(row: Result) -> float:
    return float(row.value or 0.0)


def _said(bits: int, rows: dict[str, Result]) -> str:
    """Sentence on what the first position's values cost, and what weighting first tokens gives instead."""
    plain, patched = _value(rows[PLAIN]), _value(rows[PLAIN]) * _value(rows[PATCHED])
    share = "these values alone make the difference" if patched >= 1 else "these values are a part of the difference"
    if (rows[PATCHED].low or 0.0) <= 1:
        share = "whether these values are a part of the difference is undecided"
    high = rows[PLAIN].high
    unsure = ", not surely less," if high is None or high >= 1 else ""
    sentence = (
        f"At {bits} bits rounding has {plain:.2f} of plain GPTQ's perplexity{unsure} and {patched:.2f} of it with that "
        f"one\nposition's values dense: {share}."
    )
    if WEIGHTED in rows:
        sentence += f" With first tokens weighted, it has {_value(rows[WEIGHTED]):.2f} of GPTQ's."
    return sentence
