"""Bad input given to the suite inside this process: what it said, how it ended, and what it left in its folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from bench.report import __main__ as report_command
from tests.bench.sessions import ROOT

PROBE = """
import pytest
from bench.parameters import parameters
from bench.verdict.documents import Interval
from bench.verdict.regions import Region
from bench.verdict.rows import Row

@pytest.mark.parametrize("row", parameters(Row("KP2-probe", "KP2a", "a number", Region(0.0, 1.0))))
def test_probe(session, conclude, row):
    assert session.corpus.scored and session.calibration
    conclude(row, Interval(0.5, 0.4, 0.6), "nothing")
"""
"""A row that asks for the model, the text and the calibration, as a claim's does, and measures nothing."""
CHECKPOINT = str(ROOT / "bench/checkpoint")
"""Tests that judge what `--compressed` names."""
LEFT_OUT = ("cacheprovider", "faulthandler", "benchmark", "hypothesispytest", "unraisableexception", "threadexception")
"""Plugins that say nothing here; the last two collect garbage for most of a run's time."""
ALWAYS = [f"-pno:{plugin}" for plugin in LEFT_OUT]


@dataclass(frozen=True)
class Case:
    """One way of giving bad input, and what must be said of it."""

    name: str
    arguments: str
    """Command line after the sound options, whose last value counts; `{here}` is the folder of the bad files,
    `{model}`, `{text}` and `{out}` are a sound model and text and the report folder."""
    words: tuple[str, ...]
    """The value with its limit, and the way out."""
    lay: Callable[[Path], object] | None = None
    """Lays the bad files into a folder of the case's own."""
    marks: tuple[pytest.MarkDecorator, ...] = ()


@dataclass(frozen=True)
class Said:
    """End of a command: its status and all that it said, on one line."""

    status: int
    text: str

    def check(self, words: Sequence[str]) -> None:
        """Refuse an ending that is no sentence: a traceback, a success, or other words."""
        plain = " ".join(self.text.split())
        assert self.status, plain
        for trace in ("Traceback", "INTERNALERROR", "\nE  "):
            assert trace not in self.text, self.text
        for word in words:
            assert word.lower() in plain.lower(), f"{word!r} is not in: {plain}"


def cases(*table: Case) -> pytest.MarkDecorator:
    """Parameters of a table of cases, named by them."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.name, marks=case.marks) for case in table])


def said(command: Callable[[], object]) -> Said:
    """What a command writes to both outputs, and its status."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = command()
        except SystemExit as end:  # argparse ends so
            status = end.code
    return Said(int(status or 0), f"{out.getvalue()}\n{err.getvalue()}")


@dataclass(frozen=True)
class Suite:
    """The suite with a probe in the place of its rows, sound options, and folders of one case."""

    root: Path
    here: Path
    model: Path
    text: Path

    @property
    def out(self) -> Path:
        """Report folder; nothing has made it."""
        return self.here / "report"

    def filled(self, arguments: str) -> list[str]:
        """Command line with the folders of the case."""
        places = {"here": self.here, "out": self.out, "model": self.model, "text": self.text}
        return [part.format(**places) for part in arguments.split()]

    def bench(self, arguments: str, probe: str = "test_probe.py") -> Said:
        """Run the suite."""
        sound = "--text={text} --contexts=4,8,16 --effort=quick --report-dir={out}"
        if "--dense" not in arguments:
            sound += " --model={model}"
        line = [probe, *self.filled(sound), *self.filled(arguments), *ALWAYS, f"--rootdir={self.root}"]
        with chdir(self.root):
            return said(lambda: pytest.main(line))

    def report(self, arguments: str) -> Said:
        """Run the command that writes pages."""
        with chdir(self.root):
            return said(lambda: report_command.main(self.filled(arguments)))

    def left(self) -> dict[str, bytes]:
        """Files of the report folder, but for those that are always there while it is open."""
        files = [path for path in self.out.rglob("*") if path.is_file()] if self.out.is_dir() else []
        return {str(path.relative_to(self.out)): path.read_bytes() for path in files if path.suffix != ".lock"}
