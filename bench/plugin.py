"""The suite as a pytest plugin: options, markers, outcomes, and the one hook that records."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import pytest

from bench import select, terminal
from bench.measure.progress import SessionProgress
from bench.measure.settings import SCALES
from bench.measure.stale import stale_rows
from bench.options import Folders, add_options, folders, settings
from bench.record import Recorder, options_of
from bench.report import write
from bench.report.matrix import summary
from bench.verdict.conclude import not_run
from bench.verdict.evidence import DamagedRecord, Evidence, Result, compact, read
from bench.verdict.regions import Verdict
from bench.verdict.rows import Row
from bench.verdict.wording import failure_text
from models.errors import InputError

EVIDENCE = pytest.StashKey[list[Result]]()
"""Results that a test came to."""
ON_RECORD = pytest.StashKey[bool]()
"""Whether a test's results were shown from the record and not measured."""
RECORDER = pytest.StashKey[Recorder]()
PROGRESS = pytest.StashKey[SessionProgress]()
KNOWN = pytest.StashKey[dict[Path, Evidence]]()
"""Evidence of folders as it was when the session first asked."""
TOUCHED = pytest.StashKey[dict[str, Folders]]()
"""Folders that this session wrote results to, by scale."""
MARKERS = (
    "claim(id): the claim and part that the test measures",
    "gpu: the GPU scale; runs with -m gpu and skips where there is no CUDA device",
    "paper: needs the papers' own models and data; runs with --scale=paper",
    "checkpoint: judges what --compressed names; nothing else runs with that option",
    "slow: takes longer than the rest of tests/ together",
    "cost(seconds): what a test is estimated to take, so that cheap ones come first",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register markers and the session's state."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.stash[TOUCHED] = {}
    config.stash[RECORDER] = Recorder(options_of(config))
    config.stash[PROGRESS] = SessionProgress(config)
    settings(config, "embedded")  # a bad option is named before anything starts
    if wanted := config.getoption("claims"):
        select.wanted_ids(wanted)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Print the claims with `--claims=list`, as `--markers` prints markers."""
    if config.getoption("claims") != "list":
        return None
    print(select.listing())
    return 0


def pytest_report_header(config: pytest.Config) -> str:
    """Name what is measured and how thoroughly."""
    options = config.option
    scale = "gpu" if config.getoption("markexpr") == "gpu" else options.scale
    return f"compression claims: scale {scale}, effort {options.effort}, model {options.model or 'embedded'}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the GPU scale to `-m gpu`, the papers' models to `--scale=paper`; cheap claims first."""
    scales = ["gpu"] if not config.getoption("markexpr") else []
    scales += ["paper"] if config.getoption("scale") != "paper" else []
    others = [item for item in items if any(item.get_closest_marker(scale) for scale in scales)]
    judging = bool(config.getoption("compressed"))
    others += [i for i in items if i not in others and bool(i.get_closest_marker("checkpoint")) is not judging]
    kept = [item for item in items if item not in others]
    if (wanted := config.getoption("claims")) is not None:
        kept, dropped = select.selected(kept, wanted)
        others += dropped
    if others:
        config.hook.pytest_deselected(items=others)
    items[:] = select.ordered(kept)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Let bad input that shows only while measuring fail its test with one sentence, never with a traceback."""
    try:
        return (yield)
    except InputError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: object, request: object) -> Generator[None, object, object]:
    """Let bad input that shows in a fixture fail its test with one sentence too."""
    try:
        return (yield)
    except InputError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hang a test's results on its report, which travels from worker processes too."""
    report = yield
    results = item.stash.get(EVIDENCE, []) if call.when == "call" or report.skipped else []
    row = getattr(item, "callspec", None) and item.callspec.params.get("row")  # type: ignore[attr-defined]
    if report.skipped and not results and isinstance(row, Row) and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        scale = item.callspec.params.get("session", "")  # type: ignore[attr-defined]
        effort = str(item.config.getoption("effort"))
        results = [not_run(row, reason.removeprefix("Skipped: "), scale, effort)]
    report.evidence = [asdict(result) for result in results]  # type: ignore[attr-defined]
    report.on_record = item.stash.get(ON_RECORD, False)  # type: ignore[attr-defined]
    return report


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
            place = folders(self.config, result.scale)
            if result.verdict == Verdict.NOT_RUN.value and _known(self.config, place, result) is not None:
                continue  # what is on record is never replaced by less
            self.config.stash[RECORDER].add(place, result)
            self.config.stash[TOUCHED][result.scale] = place


def _known(config: pytest.Config, place: Folders, result: Result) -> Result | None:
    known = known_evidence(config, place.run).rows.get(result.row)
    return known if known is not None and known.verdict != Verdict.NOT_RUN.value else None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Record and show results in one process only."""
    config = session.config
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Writer(config))
    terminal.register(config, config.stash[PROGRESS])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None, None, None]:
    """Write the pages of what was measured, and print the matrix after everything else."""
    yield
    for scale, place in sorted(config.stash[TOUCHED].items()):
        record = known_evidence(config, place.record) if place.record not in (None, place.run) else None
        compact(place.run)
        write.write(place.run, record=record, stale=stale_rows)
        if place.run == place.record:
            write.write_index(place.run.parent)
        terminalreporter.section(f"claims, {scale} scale")
        own = read(place.run)
        terminalreporter.write_line(summary(*write.layered(own, record)))
        terminalreporter.write_line(f"pages and evidence: {_shown(config, place.run)}")
        for number in own.damaged:
            terminalreporter.write_line(f"{place.run / 'evidence.jsonl'} line {number} is damaged and left out")
    for line in config.stash[RECORDER].refused:
        terminalreporter.write_line(f"not recorded: {line}")


def _shown(config: pytest.Config, folder: Path) -> str:
    inside = folder.is_relative_to(config.rootpath)
    return str(folder.relative_to(config.rootpath)) if inside else str(folder)


def known_evidence(config: pytest.Config, folder: Path | None) -> Evidence:
    """Evidence of a folder as it was when the session first asked; empty where there is none.

    A record that cannot be used ends the session with one sentence.
    """
    if folder is None:
        return Evidence()
    known = config.stash.setdefault(KNOWN, {})
    if folder not in known:
        try:
            known[folder] = read(folder)
        except DamagedRecord as error:
            pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    return known[folder]


def finish(config: pytest.Config, result: Result) -> None:
    """End a test as its result's verdict says.

    A row that is on record as not reproduced, for the same model, text and at least this effort, fails its test only
    when it ceases to be. Quick effort decides nothing: there, only errors fail.
    """
    verdict, before = Verdict(result.verdict), _expected(config, result)
    if verdict is Verdict.INCONCLUSIVE:
        pytest.xfail(f"inconclusive: {result.reason}")
    if config.getoption("effort") == "quick" and verdict is not Verdict.REPRODUCED:
        pytest.xfail(f"{verdict.value} at quick effort, which decides nothing")
    if before is Verdict.NOT_REPRODUCED and verdict is Verdict.REPRODUCED:
        pytest.fail(f"on record as not reproduced, and now reproduced\n{failure_text(result)}", pytrace=False)
    if verdict is Verdict.NOT_REPRODUCED:
        if before is Verdict.NOT_REPRODUCED:
            pytest.xfail("not reproduced, as on record")
        pytest.fail(failure_text(result), pytrace=False)


def _expected(config: pytest.Config, result: Result) -> Verdict | None:
    """Verdict on record of the same row, model and text at no less effort; None where there is none."""
    if result.claim == "CHECKPOINT":  # of a checkpoint nothing is expected
        return None
    record = known_evidence(config, folders(config, result.scale).record).rows.get(result.row)
    if record is None or record.verdict == Verdict.NOT_RUN.value or not _comparable(record, result):
        return None
    return Verdict(record.verdict)


def _comparable(record: Result, result: Result) -> bool:
    same = ("model", "model_sha256", "text_sha256")
    efforts = ("quick", "normal", "thorough")
    return all(getattr(record, name) == getattr(result, name) for name in same) and efforts.index(
        record.effort or "normal"
    ) >= efforts.index(result.effort or "normal")


def show_record(request: pytest.FixtureRequest, scale: str, why: str) -> NoReturn:
    """End a test with what is on record of its row, where this effort cannot measure it; skip where nothing is.

    Args:
        request: of a fixture of the test.
        scale: whose record is meant.
        why: the row is not measured.
    """
    row, config = request.node.callspec.params.get("row"), request.config
    record = known_evidence(config, folders(config, scale).record)
    found = record.rows.get(row.name) if isinstance(row, Row) else None
    if found is None or found.verdict == Verdict.NOT_RUN.value:
        pytest.skip(why)
    request.node.stash[EVIDENCE], request.node.stash[ON_RECORD] = [found], True
    pytest.xfail(f"on record ({found.effort} effort): {found.verdict}")
