"""End of a session: the pages of what it measured, and the matrix of all claims on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.measure.stale import stale_rows
from bench.options import Folders
from bench.record import known_evidence
from bench.verdict.evidence import FILE, DamagedRecord, compact, read


def write_pages(terminal: pytest.TerminalReporter, config: pytest.Config, touched: Mapping[str, Folders]) -> bool:
    """Write pages of the folders that results went to, by scale; False where they cannot be written."""
    written = True
    for scale, place in sorted(touched.items()):
        terminal.section("checkpoints" if config.getoption("compressed") else f"claims, {scale} scale")
        try:
            _write(terminal, config, place)
        except (OSError, DamagedRecord) as error:
            written = False
            terminal.write_line(
                f"the pages of {place.run} cannot be written ({error}); what was measured is in {FILE} there: make "
                f"room, then run python -m bench.report {place.run}"
            )
    return written


def _write(terminal: pytest.TerminalReporter, config: pytest.Config, place: Folders) -> None:
    from bench.report import comparison, write  # noqa: PLC0415 - plots take a moment to import
    from bench.report.matrix import summary  # noqa: PLC0415

    record = known_evidence(config, place.record) if place.record not in (None, place.run) else None
    compact(place.run)
    write.write(place.run, record=record, stale=stale_rows)
    if place.run == place.record:
        write.write_index(place.run.parent)
    own = read(place.run)
    judging = bool(config.getoption("compressed"))
    terminal.write_line(comparison.plain(own) if judging else summary(*write.layered(own, record)))
    terminal.write_line(f"pages and evidence: {_shown(config, place.run)}")
    for number in own.damaged:
        terminal.write_line(f"{place.run / FILE} line {number} is damaged and left out")


def _shown(config: pytest.Config, folder: Path) -> str:
    inside = folder.is_relative_to(config.rootpath)
    return str(folder.relative_to(config.rootpath)) if inside else str(folder)
