"""Joining: evidence of several folders laid into one, such as the nights of a card or the jobs of a night."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.verdict.evidence import Evidence, append, compact, outranks, read


def join(into: Path, records: Sequence[Evidence]) -> Evidence:
    """Evidence of a folder after records were laid over what it has, in their order.

    A row never gives way to one of lower effort or to one that was not run; a variant gives way to a later one of its
    key.

    Raises:
        DamagedRecord: what the folder has cannot be read.
    """
    for record in records:
        _lay(into, record)
    compact(into)
    return read(into)


def _lay(into: Path, own: Evidence) -> None:
    standing = read(into)
    rows = [row for name, row in own.rows.items() if name not in standing.rows or outranks(row, standing.rows[name])]
    for entry in (*own.runs.values(), *own.variants.values(), *rows):
        append(into, entry)
