"""Report folders that cannot be written, that another run writes to, or whose record cannot be used."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from filelock import FileLock

from bench.hold import LOCK
from bench.verdict.evidence import FILE, append, read
from tests.bench.battery.files import ROW, RUN
from tests.bench.battery.running import Case, cases

ELSEWHERE = "give another folder with --report-dir"


def a_file(here: Path) -> None:
    (here / "report").write_text("no folder")


def a_file_above(here: Path) -> None:
    (here / "above").write_text("no folder")


def an_evidence_folder(here: Path) -> None:
    (here / "report" / FILE).mkdir(parents=True)


def a_later_record(here: Path) -> None:
    append(here / "report", RUN | {"format": 9})


def a_loop(here: Path) -> None:
    (here / "report").symlink_to(here / "report")


TABLE = (
    Case("report-is-a-file", "", ("report cannot be written", ELSEWHERE), a_file),
    Case("report-below-a-file", "--report-dir={here}/above/x", ("cannot be written", ELSEWHERE), a_file_above),
    Case("report-below-a-device", "--report-dir=/dev/null/x", ("/dev/null/x cannot be written", ELSEWHERE)),
    Case("report-is-a-loop", "", ("report cannot be written", ELSEWHERE), a_loop),
    Case("report-path-too-long", "--report-dir={here}" + 30 * f"/{200 * 'x'}", ("cannot be written", ELSEWHERE)),
    Case("evidence-is-a-folder", "", ("evidence.jsonl cannot be read", "move it away"), an_evidence_folder),
    Case(
        "evidence-of-a-later-version", "", ("is of format 9 and this version reads up to 2", "update"), a_later_record
    ),
    Case("evidence-of-a-later-version-resumed", "--resume", ("is of format 9", "update the suite"), a_later_record),
)


@cases(*TABLE)
def test_a_report_folder_that_cannot_be_used_is_one_sentence(suite, case):
    if case.lay:
        case.lay(suite.here)
    before = suite.left()
    suite.bench(case.arguments).check(case.words)
    assert suite.left() == before


def test_a_second_run_on_a_folder_is_refused_and_the_first_goes_on(suite):
    append(suite.out, RUN)
    with FileLock(suite.out / LOCK):
        suite.bench("").check(("another run is writing to", "wait until it ends, or " + ELSEWHERE))
    assert set(read(suite.out).runs) == {"r"}
    assert suite.bench("").status == pytest.ExitCode.OK


@pytest.mark.slow
def test_a_second_run_with_workers_is_refused_too(suite):
    append(suite.out, RUN)
    with FileLock(suite.out / LOCK):
        suite.bench("-n2").check(("another run is writing to", ELSEWHERE))


def test_a_folder_that_nothing_came_of_goes_again(suite):
    suite.bench("--device=mps").check(("device mps",))
    assert not suite.out.exists()
    assert suite.bench("").status == pytest.ExitCode.OK and suite.out.is_dir()


@pytest.mark.parametrize("suffix", [".md", ".png", ".part"])
def test_a_full_disk_keeps_what_was_measured(suite, suffix, monkeypatch):
    append(suite.out, RUN)
    append(suite.out, ROW)
    written = Path.write_bytes

    def full(path, content):
        if suffix in path.suffixes:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return written(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    suite.bench("").check(
        ("cannot be written", "No space left on device", "make room, then run python -m bench.report")
    )
    assert set(read(suite.out).rows) == {"LC1-x", "KP2-probe"} and not read(suite.out).damaged
    assert not list(suite.out.glob("*.part"))


READS = """
from safetensors.torch import load_file
from bench.parameters import parameters
import pytest
from bench.verdict.regions import Region
from bench.verdict.rows import Row

@pytest.mark.parametrize("row", parameters(Row("KP2-reads", "KP2a", "a number", Region(0.0, 1.0))))
def test_reads(session, row):
    load_file(session.folder / "kept.safetensors")
"""


def test_a_kept_file_that_is_damaged_is_one_sentence(suite):
    (suite.here / "test_reads.py").write_text(READS)
    (suite.out / "measurements").mkdir(parents=True)
    (suite.out / "measurements" / "kept.safetensors").write_bytes(b"torn")
    before = suite.left()
    words = ("a file that an earlier run kept is damaged", "delete the folder measurements")
    suite.bench("-p bench.plugin -p bench.conftest", str(suite.here / "test_reads.py")).check(words)
    assert suite.left() == before
