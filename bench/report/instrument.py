"""The page of the suite's own instruments: what they can see, and how often the verdict engine is wrong."""

from __future__ import annotations

from bench.report import matrix
from bench.report.pages import Footnotes, View, common_notes, measured_on, rows_tables
from bench.report.tables import measured, table
from bench.verdict.claims import INSTRUMENTS
from bench.verdict.evidence import Evidence, Result

TITLES = {"INSTRUMENT": "What the instruments can see", "VERDICTS": "How often verdicts are wrong"}


def rows_of(evidence: Evidence) -> list[Result]:
    """Rows of the page."""
    return [row for name in TITLES for row in matrix.results_of(evidence, name)]


def page(view: View, forest: str) -> str:
    """The page; an instrument passes or does not qualify."""
    rows, notes = rows_of(view.evidence), Footnotes()
    common = common_notes(view, rows)
    parts = ["# The instruments", " ".join(common.values())]
    if forest:
        parts.append(f"![estimate, interval and acceptance region of every row]({forest})")
    for name, title in TITLES.items():
        if own := matrix.results_of(view.evidence, name):
            parts += [f"## {title}", INSTRUMENTS[name], *rows_tables(view, own, notes, common)]
    parts += [_false_rates(view.evidence), _power(view.evidence), measured_on(view.evidence, rows), notes.written()]
    return "\n\n".join(part for part in parts if part)


def _false_rates(evidence: Evidence) -> str:
    lines = [
        [row.row.removeprefix("VERDICTS-"), f"{row.details['truth']:g}", measured(row), f"{row.details['bca']:.3f}"]
        for row in matrix.results_of(evidence, "VERDICTS")
        if "bca" in row.details
    ]
    if not lines:
        return ""
    headers = ["false claim", "true growth", "called reproduced", "with BCa intervals"]
    return (
        "## How often a false claim is called reproduced\n\nSimulated documents, made of the model's own KL of single "
        f"tokens.\n\n{table(lines, headers)}"
    )


def _power(evidence: Evidence) -> str:
    lines = [
        [row.row.removeprefix("VERDICTS-power-"), truth, f"{power:.2f}"]
        for row in matrix.results_of(evidence, "VERDICTS")
        for truth, power in row.details.get("power", {}).items()
    ]
    if not lines:
        return ""
    return (
        "## How often a true claim is called reproduced\n\nAt this number of documents.\n\n"
        f"{table(lines, ['claim', 'true growth', 'called reproduced'])}"
    )
