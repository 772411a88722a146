"""Changes from one record to a later one: verdicts that differ, rows new rows, and rows that are missing."""

from __future__ import annotations

from dataclasses import dataclass

from bench.report.tables import measured
from bench.verdict.entries import Result, within
from bench.verdict.evidence import Evidence
from bench.verdict.regions import Verdict

ORDER = (Verdict.NOT_REPRODUCED.value, Verdict.INCONCLUSIVE.value, Verdict.REPRODUCED.value)
"""Verdicts of rows that were run, from worst to best."""


@dataclass(frozen=True)
class Change:
    """One row that is not what it was."""

    line: str
    worse: bool
    """True if a measured row is missing or was not run, or has a verdict further from reproduced."""


def changes(old: Evidence, new: Evidence) -> list[Change]:
    """Changes by name of row; times of another machine are said to be so and are not compared."""
    gone = [_gone(row) for name, row in old.rows.items() if name not in new.rows]
    fresh = [
        Change(f"{name}: new, {row.verdict} ({measured(row)})", worse=False)
        for name, row in new.rows.items()
        if name not in old.rows
    ]
    both = [(row, new.rows[name]) for name, row in old.rows.items() if name in new.rows]
    changed = [_changed(before, now) for before, now in both if before.verdict != now.verdict]
    return sorted([*gone, *fresh, *changed], key=lambda change: change.line)


def _gone(before: Result) -> Change:
    line = f"{before.row}: missing, was {before.verdict} ({measured(before)})"
    return Change(line, before.was_run)


def _changed(before: Result, now: Result) -> Change:
    line = f"{now.row}: {before.verdict} -> {now.verdict} ({measured(before)} -> {measured(now)})"
    if not before.was_run:
        return Change(line, worse=False)
    if not now.was_run:
        return Change(f"{line}: {now.reason}", worse=True)
    if before.machine and now.machine and before.machine != now.machine:
        return Change(f"{line}, not compared: timed on {now.machine}, before on {before.machine}", worse=False)
    lower = ORDER.index(now.verdict) < ORDER.index(before.verdict)
    if lower and within(before, now):
        return Change(f"{line}, inside the interval on record", worse=False)
    return Change(line, lower)
