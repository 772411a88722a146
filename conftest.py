"""The suite as a pytest plugin: options, markers, and one hook that writes evidence as each test ends."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.measure.settings import SCALES as SCALE_NAMES
from bench.measure.settings import add_options, report_folder, settings
from bench.report import __main__ as report
from bench.report import pages
from bench.verdict import evidence
from bench.verdict.regions import Verdict

RUN = pytest.StashKey[str]()
SCALES = pytest.StashKey[set[str]]()
"""Scales for which this session wrote evidence."""
ROWS = pytest.StashKey[list[evidence.Row]]()
"""Of a test: the results it came to."""
MARKERS = (
    "claim(id): the claim of a paper that the test measures",
    "gpu: the GPU scale; runs with -m gpu and skips where there is no CUDA device",
    "paper: needs the papers' own models and data; runs with --scale=paper",
    "checkpoint: judges what --compressed names; nothing else runs with that option",
    "slow: takes longer than the rest of tests/ together",
)
pytest_plugins = ("pytester",)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register markers and the session's state."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.stash[SCALES] = set()
    settings(config, "embedded")  # a bad option is named before anything starts


def pytest_report_header(config: pytest.Config) -> str:
    """Say what is measured and how thoroughly."""
    options = config.option
    return f"compression claims: scale {options.scale}, effort {options.effort}, model {options.model or 'embedded'}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the GPU scale to `-m gpu`, and what needs the papers' own models to `--scale=paper`."""
    scales = ["gpu"] if not config.getoption("markexpr") else []
    scales += ["paper"] if config.getoption("scale") != "paper" else []
    others = [item for item in items if any(item.get_closest_marker(scale) for scale in scales)]
    judging = bool(config.getoption("compressed"))
    others += [i for i in items if i not in others and bool(i.get_closest_marker("checkpoint")) is not judging]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hang a test's results on its report, which travels from worker processes too."""
    found = yield
    rows = [asdict(row) for row in item.stash.get(ROWS, [])] if call.when == "call" else []
    if found.skipped and not hasattr(found, "wasxfail") and (row := _not_run(item, found)):
        rows = [asdict(row)]
    found.evidence = rows  # type: ignore[attr-defined]
    return found


def _row_name(item: pytest.Item) -> str:
    """That of the row a test would have left: its parameter `row`, or its id without the scale."""
    own = getattr(item, "callspec", None)
    if own is not None and isinstance(own.params.get("row"), str):
        return own.params["row"]
    scale = "|".join(sorted(SCALE_NAMES, key=len, reverse=True))
    found = re.search(rf"\[(?:(?:{scale})-)?(.+?)(?:-(?:{scale}))?\]$", item.name)
    return found[1] if found else ""


def _not_run(item: pytest.Item, found: pytest.TestReport) -> evidence.Row | None:
    """A row for a test that was skipped, unless that is for want of its scale's device."""
    marker, lab = item.get_closest_marker("claim"), getattr(item, "funcargs", {}).get("lab")
    name = _row_name(item)
    if marker is None or lab is None or not name:
        return None
    reason = found.longrepr[2] if isinstance(found.longrepr, tuple) else str(found.longrepr)
    return evidence.Row(
        name,
        marker.args[0],
        Verdict.NOT_RUN.value,
        reason.removeprefix("Skipped: "),
        scale=lab.settings.scale,
        model=lab.decoder.name,
        model_sha256=lab.decoder.sha256,
    )


class Recorder:
    """Writes the evidence of every report that reaches the process which has the terminal."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Append one line a result, and the header before the first."""
        for row in getattr(report, "evidence", []):
            folder = report_folder(self.config, row["scale"])
            if row["scale"] not in self.config.stash[SCALES]:
                options = {name: self.config.getoption(name) for name in OPTIONS}
                header = evidence.run_header({name: _named(value) for name, value in options.items()})
                self.config.stash[RUN] = header["run"]
                evidence.append(folder, "run", header)
                self.config.stash[SCALES].add(row["scale"])
            evidence.append(folder, "row", {**row, "run": self.config.stash[RUN]})


OPTIONS = ("scale", "effort", "model", "dense", "compressed", "text", "contexts", "device", "keyword", "markexpr")


def _named(value: object) -> str:
    """An option as it was given, files and folders without where they lie: pages are shared, machines are not."""
    return Path(value).name if isinstance(value, (str, Path)) and Path(value).is_absolute() else str(value)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Record evidence in one process only."""
    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(Recorder(session.config))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write the pages of what was measured, and print the matrix."""
    for scale in sorted(config.stash[SCALES]):
        folder = report_folder(config, scale)
        evidence.compact(folder)
        report.write(folder)
        terminalreporter.section(f"claims, {scale} scale")
        terminalreporter.write_line(pages.summary(evidence.read(folder)))
        terminalreporter.write_line(f"pages and evidence: {folder}")
