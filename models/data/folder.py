"""A folder with the papers' data, checked before anything of it is measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from models.errors import InputError

LOOKED_AT = 16 * 2**20
"""Bytes of a file that are looked at: texts of papers have gigabytes."""
PAIR = ("premise", "hypothesis", "label")


def check_data(folder: Path) -> None:
    """Refuse a folder whose files are not UTF-8, or whose `.jsonl` has lines that are neither a text nor a pair.

    Raises:
        InputError: the first such file with its line, and what a line has to be.
    """
    for path in sorted(folder.glob("*")):
        if path.is_file() and path.suffix in (".jsonl", ".tsv", ".txt"):
            for number, line in _lines(path):
                if path.suffix == ".jsonl" and line.strip() and not _is_row(line):
                    raise InputError(
                        f'{path} line {number} is neither {{"text": "..."}} nor a pair with {", ".join(PAIR)}; '
                        "mend or delete that line"
                    )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a file's beginning; the last is left out where more follows."""
    with path.open("rb") as file:
        content, more = file.read(LOOKED_AT), file.read(1)
    lines = content.split(b"\n")
    for number, line in enumerate(lines[:-1] if more else lines, 1):
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path} line {number} is not UTF-8 text ({error}); convert it, for instance with iconv"
            ) from error


def _is_row(line: str) -> bool:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and (isinstance(row.get("text"), str) or all(name in row for name in PAIR))
