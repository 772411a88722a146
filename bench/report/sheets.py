"""Sheets of checkpoints as they lie in the evidence: rows, figures, grade and outcome of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.verdict.claims import CHECKPOINT
from bench.verdict.documents import Interval
from bench.verdict.evidence import Evidence, Result
from bench.verdict.grades import Grade, bad_blocks, foreign_settings, grade_of
from bench.verdict.regions import Verdict
from bench.verdict.wording import CLEARED

NOT_OPENED = "not opened"
ON_DISK, IN_MEMORY = "bytes on disk", "bytes in memory"


@dataclass(frozen=True)
class Sheet:
    """One checkpoint against its dense model."""

    label: str
    rows: Sequence[Result]
    """Its thresholds, and perplexity under protocols where that was asked for."""
    details: Mapping[str, Any]
    """Figures that the instrument left; of a checkpoint that did not open, why."""

    @property
    def refused(self) -> str:
        """Reason why it was not opened; empty where it was."""
        return str(self.details.get("refused", ""))

    @cached_property
    def measures(self) -> dict[str, Interval]:
        """Intervals by measure; None, which stands for a number that JSON cannot hold, is infinity."""
        known: Mapping[str, Sequence[float | None]] = self.details.get("measures") or {}
        return {
            name: Interval(*(float("inf") if x is None else float(x) for x in ends)) for name, ends in known.items()
        }

    @property
    def bad_blocks(self) -> list[int]:
        """Blocks that depart where the others do not."""
        return bad_blocks([float("nan") if x is None else x for x in self.details.get("blocks") or ()])

    @cached_property
    def grade(self) -> Grade | None:
        """Grade in plain words; None of a checkpoint that was not opened."""
        if not self.measures:
            return None
        unusable = int(self.details.get("unusable") or 0)
        foreign = foreign_settings(self.details.get("settings") or ())
        return grade_of(self.measures, bad_blocks=self.bad_blocks, foreign=foreign, unusable=unusable)

    @property
    def outcome(self) -> str:
        """Outcome against the thresholds: the worst of its rows."""
        if self.refused:
            return NOT_OPENED
        verdicts = {row.verdict for row in self.rows}
        for verdict in (Verdict.NOT_REPRODUCED, Verdict.INCONCLUSIVE, Verdict.REPRODUCED):
            if verdict.value in verdicts:
                return CLEARED[verdict.value]
        return Verdict.NOT_RUN.value

    @property
    def words(self) -> str:
        """Grade, or why there is none."""
        return self.grade.words if self.grade else NOT_OPENED

    @property
    def reason(self) -> str:
        """Reason for the grade, and settings that differ from the dense model's."""
        if self.grade is None:
            return self.refused
        settings = self.details.get("settings") or {}
        said = [f"{name} is {own} and the dense model's {dense}" for name, (dense, own) in settings.items()]
        return "; ".join([*said[:3], self.grade.reason])

    def size(self, place: str) -> int | None:
        """Bytes on disk or in memory; None where they are not known."""
        return (self.details.get("sizes") or {}).get(place)


def rows_of(evidence: Evidence) -> list[Result]:
    """Rows of all checkpoints."""
    return [row for row in evidence.rows.values() if row.claim == CHECKPOINT]


def sheets_of(evidence: Evidence) -> list[Sheet]:
    """Sheets of a folder's evidence, the smallest checkpoint first, those that did not open last."""
    groups: dict[str, list[Result]] = {}
    for row in rows_of(evidence):
        groups.setdefault(row.method, []).append(row)
    sheets = [Sheet(label, rows, _details(rows)) for label, rows in groups.items()]
    return sorted(sheets, key=lambda sheet: (sheet.size(ON_DISK) or float("inf"), sheet.label))


def _details(rows: Sequence[Result]) -> Mapping[str, Any]:
    return next((row.details["checkpoint"] for row in rows if row.details.get("checkpoint")), {})
