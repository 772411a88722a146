"""Command line of the report: `python -m bench.report [FOLDER ...]` writes pages; options join and compare records."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.report.changes import changes
from bench.report.join import join
from bench.report.matrix import summary
from bench.report.pages import View
from bench.report.write import committed, write, write_counts, write_index
from bench.verdict.evidence import FILE, DamagedRecord, Evidence, read

REPORTS, README = Path("reports"), Path("README.md")


def stale_rows(evidence: Evidence) -> Mapping[str, str]:
    """Reasons why rows are of an earlier version, by name; by their fingerprints where the measuring side can tell."""
    try:
        return importlib.import_module("bench.measure.stale").stale_rows(evidence)
    except ModuleNotFoundError:
        view = View(evidence)
        return {name: why for name, row in evidence.rows.items() if (why := view.why_stale(row))}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 2 for input that cannot be used, with a sentence on stderr."""
    try:
        return _run(_parser().parse_args(arguments))
    except DamagedRecord as error:
        print(error, file=sys.stderr)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough; nothing is flushed to it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"{error.filename}: {error.strerror}; give a folder that can be read and written", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.report", description="Write the pages of evidence folders, or say what is in them."
    )
    parser.add_argument(
        "folders",
        nargs="*",
        type=Path,
        help="evidence folders; without any, all of reports/, its index and README.md's counts",
    )
    alone = parser.add_mutually_exclusive_group()
    alone.add_argument(
        "--changes", nargs=2, type=Path, metavar=("OLD", "NEW"), help="name changed, new and missing rows"
    )
    alone.add_argument(
        "--join", type=Path, metavar="INTO", help="lay the evidence of the folders over what INTO has, in their order"
    )
    alone.add_argument("--matrix", type=Path, metavar="FOLDER", help="print the verdicts of one folder")
    alone.add_argument(
        "--stale", nargs="?", type=Path, const=REPORTS, metavar="FOLDER", help="name rows of an earlier version"
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="with --changes: exit with 1 where a measured row is missing, was not run or has a worse verdict",
    )
    return parser


def _run(chosen: argparse.Namespace) -> int:
    stale = committed(REPORTS) if chosen.stale == REPORTS else [chosen.stale] if chosen.stale else []
    folders = [*(chosen.changes or []), *([chosen.matrix] if chosen.matrix else []), *stale, *chosen.folders]
    for folder in folders:
        if not (folder / FILE).is_file():
            print(f"no {FILE} in {folder}; give a folder that pytest bench wrote", file=sys.stderr)
            return 2
    if chosen.join and not chosen.folders:
        print(f"--join into {chosen.join} has nothing to join; give the folders after it", file=sys.stderr)
        return 2
    if chosen.changes:
        return _changes(*chosen.changes, strict=chosen.strict)
    if chosen.join:
        join(chosen.join, [_read(folder) for folder in chosen.folders])
    elif chosen.matrix:
        print(summary(_read(chosen.matrix)))
    elif chosen.stale:
        lines = [f"{folder}: {row}: {why}" for folder in stale for row, why in stale_rows(_read(folder)).items()]
        print("\n".join(lines) or "every row is of this version")
    else:
        _write(chosen.folders)
    return 0


def _changes(old: Path, new: Path, *, strict: bool) -> int:
    found = changes(_read(old), _read(new))
    print("\n".join(change.line for change in found) or "no verdict changed")
    worse = sum(change.worse for change in found)
    if strict and worse:
        print(f"rows that are missing, were not run or have a worse verdict than in {old}: {worse}", file=sys.stderr)
    return 1 if strict and worse else 0


def _read(folder: Path) -> Evidence:
    evidence = read(folder)
    for number in evidence.damaged:
        print(f"{folder / FILE} line {number} is damaged and left out", file=sys.stderr)
    return evidence


def _write(folders: list[Path]) -> None:
    for folder in folders or committed(REPORTS):
        write(folder, stale=stale_rows)
        print(f"wrote {folder}")
    if not folders and REPORTS.is_dir():
        print(f"wrote {write_index(REPORTS)}")
        if write_counts(README, REPORTS):
            print(f"wrote the counts of {README}")


if __name__ == "__main__":
    raise SystemExit(main())
