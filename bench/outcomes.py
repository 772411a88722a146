"""From results to the outcomes of tests: what is expected by the record, and what is news."""

from __future__ import annotations

import pytest

from bench.measure.settings import SCALES
from bench.options import folders
from bench.record import row_of
from bench.verdict.claims import CHECKPOINT
from bench.verdict.entries import within
from bench.verdict.evidence import EFFORTS, Result
from bench.verdict.regions import Verdict
from bench.verdict.rows import Row
from bench.verdict.wording import failure_text

EVIDENCE = pytest.StashKey[list[Result]]()
"""Results that a test came to."""
ON_RECORD = pytest.StashKey[bool]()
"""Whether a test's results were shown from the record and not measured."""


def finish(config: pytest.Config, result: Result) -> None:
    """End a test as its result's verdict says.

    A verdict that contradicts the record of the same model and text at no less effort fails its test, and so does a row
    that is not reproduced and has no such record. A verdict that differs while the estimate lies in the record's
    interval is no news: documents, threads and versions move it that far; nor is one that is reproduced where a row of
    an earlier version was not. Times are held against those of the same machine only. Quick effort decides nothing of a
    claim: only errors fail there. A checkpoint that does not clear its threshold fails at any effort.
    """
    verdict, record = Verdict(result.verdict), _expected(config, result)
    if verdict is Verdict.INCONCLUSIVE:
        pytest.xfail(f"inconclusive: {result.reason}")
    if config.getoption("effort") == "quick" and result.claim != CHECKPOINT:
        if verdict is Verdict.NOT_REPRODUCED:
            pytest.xfail("not reproduced at quick effort, which decides nothing")
        return
    if record is not None and (record.verdict == result.verdict or within(record, result)):
        if verdict is Verdict.NOT_REPRODUCED:
            pytest.xfail(f"not reproduced; on record: {record.verdict}")
    elif result.machine and (record is None or record.machine != result.machine):
        if verdict is Verdict.NOT_REPRODUCED:  # times of another machine are no news
            pytest.xfail("not reproduced on this machine; the record is of another")
    elif verdict is Verdict.NOT_REPRODUCED:
        pytest.fail(failure_text(result), pytrace=False)
    elif record is not None and record.verdict == Verdict.NOT_REPRODUCED.value and not record.is_earlier:
        pytest.fail(f"on record as not reproduced, and now reproduced\n{failure_text(result)}", pytrace=False)


def _expected(config: pytest.Config, result: Result) -> Result | None:
    """Row on record of the same name, model and text at no less effort; None where there is none."""
    if result.claim == CHECKPOINT:  # of a checkpoint nothing is expected
        return None
    record = row_of(config, folders(config, result.scale).record, result.row)
    if record is None:
        return None
    same = (record.model_sha256, record.text_sha256) == (result.model_sha256, result.text_sha256)
    enough = EFFORTS.index(record.effort or "normal") >= EFFORTS.index(result.effort or "normal")
    return record if same and enough else None


def recorded(config: pytest.Config, row: Row, scale: str) -> Result | None:
    """Result on record of a declared row that was run; None where there is none."""
    if scale not in SCALES:
        return None
    return row_of(config, folders(config, scale).record, row.name)
