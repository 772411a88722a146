"""Command lines of the pages' own command that cannot be done."""

from __future__ import annotations

from pathlib import Path

from bench.verdict.evidence import FILE, append
from tests.bench.battery.files import ROW, RUN
from tests.bench.battery.running import Case, cases

GIVE = "give a folder that pytest bench wrote"
LATER = ("is of format 9 and this version reads up to 2", "update the suite")


def good(here: Path) -> None:
    append(here / "good", RUN)
    append(here / "good", ROW)


def later(here: Path) -> None:
    good(here)
    append(here / "later", RUN | {"format": 9})


def an_evidence_folder(here: Path) -> None:
    (here / "a" / FILE).mkdir(parents=True)


def a_page_folder(here: Path) -> None:
    good(here)
    (here / "good" / "README.md").mkdir()


def a_file(here: Path) -> None:
    good(here)
    (here / "file").write_text("no folder")


TABLE = (
    Case("absent", "{here}/none", ("no evidence.jsonl in", GIVE)),
    Case("file", "{here}/file", ("no evidence.jsonl in", GIVE), a_file),
    Case("name-too-long", "{here}/" + 300 * "x", ("File name too long", "give a folder that can be read")),
    Case("evidence-folder", "{here}/a", ("no evidence.jsonl in", GIVE), an_evidence_folder),
    Case("page-is-a-folder", "{here}/good", ("README.md", "give a folder that can be read and written"), a_page_folder),
    Case("later-version", "{here}/later", LATER, later),
    Case("later-version-matrix", "--matrix {here}/later", LATER, later),
    Case("later-version-stale", "--stale {here}/later", LATER, later),
    Case("later-version-changes", "--changes {here}/good {here}/later", LATER, later),
    Case("later-version-joined", "--join {here}/into {here}/later", LATER, later),
    Case("later-version-joined-into", "--join {here}/later {here}/good", LATER, later),
    Case("changes-one", "--changes {here}/good", ("--changes", "expected 2 arguments"), good),
    Case("changes-absent", "--changes {here}/good {here}/none", ("no evidence.jsonl in", GIVE), good),
    Case("join-absent", "--join {here}/into {here}/none", ("no evidence.jsonl in", GIVE)),
    Case("join-nothing", "--join {here}/into", ("--join", "give the folders")),
    Case("join-into-a-file", "--join {here}/file {here}/good", ("give a folder that can be read and written",), a_file),
    Case("matrix-absent", "--matrix {here}/none", ("no evidence.jsonl in", GIVE)),
    Case("stale-absent", "--stale {here}/none", ("no evidence.jsonl in", GIVE)),
    Case("two-at-once", "--matrix {here}/good --stale {here}/good", ("not allowed with argument",), good),
    Case("unknown-option", "--pages", ("unrecognized arguments: --pages",)),
)


@cases(*TABLE)
def test_a_command_of_the_report_that_cannot_be_done_is_one_sentence(suite, case):
    if case.lay:
        case.lay(suite.here)
    suite.report(case.arguments).check(case.words)
    assert not list(suite.here.rglob("*.part")) and not (suite.here / "into" / FILE).exists()
