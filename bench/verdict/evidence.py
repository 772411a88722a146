"""The record: what was measured, one line an entry, and the only source of verdicts and pages.

`evidence.jsonl` holds three kinds of line: `run` (versions, machine and options of one start of the suite), `variant`
(the arrays that one measurement left, to full precision) and `row` (one verdict, naming the variants it was derived
from). A line that comes later replaces an earlier one of the same name.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.verdict.entries import EFFORTS, Arrays, Origin, Result, Variant, outranks
from bench.verdict.lines import FORMAT, DamagedRecord, check_format, entry_of, line_of, result_of, run_of, variant_of
from models.folders import written_aside

__all__ = (
    "EFFORTS",
    "FILE",
    "FORMAT",
    "Arrays",
    "DamagedRecord",
    "Evidence",
    "Origin",
    "Result",
    "Variant",
    "append",
    "compact",
    "lock",
    "outranks",
    "read",
)

FILE = "evidence.jsonl"
NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""Errors of a place where no file can be."""
KEPT_BYTES = "surrogateescape"
"""Way in which bytes that are no UTF-8 are read and written again as they were."""


@dataclass(frozen=True)
class Evidence:
    """One folder's latest row of every name, latest variant of every key, the runs, and lines that are damaged."""

    rows: dict[str, Result] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    variants: dict[str, Variant] = field(default_factory=dict)
    damaged: dict[int, str] = field(default_factory=dict)
    """Text of the lines that are no entry, by number; kept as they are."""

    def over(self, other: Evidence) -> Evidence:
        """Union of two records: of a row that both have, the one of higher effort, and of equal ones this one's."""
        rows = dict(other.rows)
        for name, row in self.rows.items():
            if name not in rows or outranks(row, rows[name]):
                rows[name] = row
        return Evidence(rows, other.runs | self.runs, other.variants | self.variants, self.damaged)


def read(folder: Path) -> Evidence:
    """Evidence of a folder; empty where there is none. Lines that are damaged are kept apart and harm nothing.

    Raises:
        DamagedRecord: the file cannot be opened, or was written by a later version of the suite.
    """
    path, evidence = folder / FILE, Evidence()
    try:
        content = path.read_bytes().decode(errors=KEPT_BYTES)
    except OSError as error:
        if error.errno in NOWHERE:
            return evidence
        raise DamagedRecord(f"{path} cannot be read ({error}); move it away, or restore it from git") from error
    for number, line in enumerate(content.split("\n"), 1):  # splitlines would cut JSON at U+2028
        if line.strip():
            _take(evidence, number, line, path)
    return evidence


def _take(evidence: Evidence, number: int, line: str, path: Path) -> None:
    try:
        entry = entry_of(line)
        kind = entry.pop("kind")
        if kind == "run":
            check_format(entry, path)
            evidence.runs[entry["run"]] = run_of(entry)
        elif kind == "variant":
            variant = variant_of(entry)
            evidence.variants[variant.key] = variant
        elif kind == "row":
            evidence.rows[entry["row"]] = result_of(entry)
        else:
            raise KeyError(kind)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, DamagedRecord):
            raise
        evidence.damaged[number] = line


def lock(folder: Path) -> FileLock:
    """Lock that whoever writes to a folder's record or pages holds for that long."""
    return FileLock(folder / ".evidence.lock", timeout=60)


def append(folder: Path, entry: Result | Variant | dict[str, Any]) -> None:
    """Add one line to a folder's record, so that an interrupted run keeps what it has.

    A last line that an earlier run left unfinished is closed first. Runs that share a folder take turns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    with lock(folder), path.open("ab+") as file:
        file.seek(0, 2)
        if file.tell() and (file.seek(-1, 2), file.read(1))[1] != b"\n":
            file.write(b"\n")
        file.write(line_of(entry).encode())


def compact(folder: Path) -> None:
    """Rewrite a folder's record with the latest entry of every name, the runs they come from, and what is damaged."""
    with lock(folder):
        evidence = read(folder)
        used = {entry.run for entry in (*evidence.rows.values(), *evidence.variants.values())}
        entries: Iterable[Result | Variant | dict[str, Any]] = [
            *(run for name, run in evidence.runs.items() if name in used),
            *evidence.variants.values(),
            *evidence.rows.values(),
        ]
        with written_aside(folder / FILE) as beside, beside.open("w", encoding="utf-8", errors=KEPT_BYTES) as file:
            file.writelines(map(line_of, entries))
            file.writelines(f"{line}\n" for line in evidence.damaged.values())
