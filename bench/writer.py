"""Writing of results as reports come in: one line a result into the record of its scale's folder."""

from __future__ import annotations

import pytest

from bench.measure.settings import SCALES
from bench.options import Folders, folders
from bench.record import Recorder, row_of
from bench.verdict.claims import CHECKPOINT
from bench.verdict.evidence import Result
from bench.verdict.regions import Verdict

RECORDER = pytest.StashKey[Recorder]()
TOUCHED = pytest.StashKey[dict[str, Folders]]()
"""Folders that this session wrote results to, by scale."""
UNDECIDED = pytest.StashKey[bool]()
"""True once a checkpoint's interval left a threshold open."""
UNDECIDED_STATUS = 6
"""Exit status of a run that failed nothing and left a checkpoint undecided; pytest's own go up to 5."""


class Writer:
    """Writes the results of every report that reaches the process which has the terminal."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Append one line a result."""
        if getattr(report, "on_record", False):
            return
        for entry in getattr(report, "evidence", []):
            result = Result(**entry)
            if result.scale not in SCALES:
                continue
            if result.claim == CHECKPOINT and result.verdict == Verdict.INCONCLUSIVE.value:
                self.config.stash[UNDECIDED] = True
            place = folders(self.config, result.scale)
            less = not result.was_run and result.claim != CHECKPOINT
            if less and row_of(self.config, place.run, result.row) is not None:
                continue  # what is on record is never replaced by less; a file that no longer opens is no record
            self.config.stash[RECORDER].add(place, result)
            self.config.stash[TOUCHED][result.scale] = place
