"""The page of what was revised: regions and statistics that were changed after results had been seen."""

from __future__ import annotations

from bench.report.tables import table
from bench.verdict.claims import REVISIONS

PAGE = "revised.md"
COLUMNS = ("claims", "since", "old", "new", "why", "judged on")


def page() -> str:
    """Page of all revisions, by paper and version."""
    rows = [(each.of, each.version, each.old, each.new, each.why, each.fresh) for each in REVISIONS]
    return (
        "# What was revised\n\n"
        "A region or a statistic that is changed after its results were seen could be bent to them. So every change\n"
        "is listed here, and its rows are judged on what had never been scored before.\n\n" + table(rows, list(COLUMNS))
    )
