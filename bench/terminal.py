"""The terminal: a line a row as it comes, verdicts as words of their own, and what is not reproduced in full.

A row's test hangs its results on its report as `evidence`. Tests without evidence look as pytest has them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Generator, Iterator
from typing import cast

import pytest

from bench.budget import left_out
from bench.measure.progress import SessionProgress
from bench.plan import BUDGET, estimated_seconds, estimates
from bench.select import unmeasured
from bench.verdict.evidence import Result
from bench.verdict.regions import Verdict
from bench.verdict.wording import row_line, verdict_word

CONTROLS = "controls"
ON_RECORD = " (on record)"
OF_EARLIER = ", earlier version"
"""End of the line of a row that does not vote until it is measured anew."""
NEWS = ("not reproduced", "did not qualify", "controls not reproduced", "not cleared")
"""Words of tests that fail."""
WORDS = (
    "reproduced",
    f"reproduced{ON_RECORD}",
    f"not reproduced{ON_RECORD}",
    "inconclusive",
    f"inconclusive{ON_RECORD}",
    "qualified",
    f"qualified{ON_RECORD}",
    f"did not qualify{ON_RECORD}",
    "cleared",
    f"cleared{ON_RECORD}",
    f"not cleared{ON_RECORD}",
    "undecided",
    f"undecided{ON_RECORD}",
    CONTROLS,
    "not run",
    *NEWS,
)
"""Categories in the order of the last line."""
DECISIVE = tuple(v.value for v in (Verdict.NOT_REPRODUCED, Verdict.INCONCLUSIVE, Verdict.REPRODUCED, Verdict.NOT_RUN))
COLOURS = {
    **dict.fromkeys(("reproduced", "qualified", "cleared"), "green"),
    **dict.fromkeys(("not reproduced", "did not qualify", "not cleared"), "red"),
}
LOG_WIDTH = 120
"""Width of a line that goes to a file."""


def results_of(report: pytest.TestReport | pytest.CollectReport) -> list[Result]:
    """Results that a report carries, the decisive one first."""
    results = [Result(**entry) for entry in getattr(report, "evidence", None) or ()]
    return sorted(results, key=lambda result: DECISIVE.index(result.verdict))


def word_of(result: Result, report: pytest.TestReport) -> str:
    """Verdict of a row in words: those of a claim, or of an instrument, and whether they are news."""
    word = verdict_word(result)
    known = hasattr(report, "wasxfail") and result.verdict == Verdict.NOT_REPRODUCED.value
    return word + ON_RECORD if known or _is_shown(result, report) else word


def _is_shown(result: Result, report: pytest.TestReport) -> bool:
    """True for a row that was measured earlier and is shown from the record."""
    return getattr(report, "on_record", False) and result.was_run


def category_of(report: pytest.TestReport) -> str:
    """Word that the last line counts a report under; empty where it is no row's, or the test broke by itself."""
    results = results_of(report)
    if not results or (report.failed and results[0].verdict != Verdict.NOT_REPRODUCED.value):
        return ""
    word = word_of(results[0], report)
    if results[0].control and word != "not run":
        return "controls not reproduced" if report.failed else CONTROLS
    return word


class Terminal:
    """Hooks that write rows through pytest's own reporter, in the process that has the terminal."""

    def __init__(self, config: pytest.Config, progress: SessionProgress) -> None:
        self.config, self.progress = config, progress
        self.reporter = cast(pytest.TerminalReporter, config.pluginmanager.getplugin("terminalreporter"))
        self.writer = config.get_terminal_writer()
        self.items: list[pytest.Item] = []
        self.rows: set[str] = set()
        """Items of claims; a process that has workers does not know them."""
        self.of_workers: list[str] = []
        """Items that workers collected, until the first result shows that there are rows among them."""

    @property
    def _verbose(self) -> bool:
        return self.config.get_verbosity(self.config.VERBOSITY_TEST_CASES) > 0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Plan the session, if it has rows."""
        self.items = session.items
        self.rows = {item.nodeid for item in session.items if item.get_closest_marker("claim")}
        if self.rows and not self.config.option.collectonly:
            self.progress.plan({item.nodeid: estimated_seconds(item) for item in session.items})

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Note the items of a session that workers run."""
        self.of_workers = ids

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logstart(self, nodeid: str) -> Generator[None]:
        """Keep a row's line free of the name of its file."""
        self.progress.clear()
        if self.rows:
            self.reporter.showfspath = False if nodeid in self.rows else None
        yield
        if nodeid in self.rows:
            self._fresh_line()
        self.progress.item_started(nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        """Write a line for every result that a test came to."""
        self.progress.clear()
        if word := category_of(report):
            self._seat(word)
            self._plan_for_workers()
        yield
        for result in results_of(report):
            self._fresh_line()
            for line in self._lines(result, report):
                self.reporter.write_line(line)
            self.reporter.flush()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Count an item, passed or not."""
        self.progress.item_done(nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Give a row its verdict for a category, and neither a dot nor a letter."""
        word = category_of(report) if isinstance(report, pytest.TestReport) else ""
        return (word, "", "" if self._verbose else word) if word else None  # with a word it counts in percentages

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Take the bar away before pytest writes its last percentage, however the session ended."""
        try:
            return (yield)
        finally:
            self.progress.close()

    def pytest_report_collectionfinish(self, config: pytest.Config, items: list[pytest.Item]) -> str | None:
        """Name what `--claims` asks for and nothing here measures."""
        missing = unmeasured(items, config.getoption("claims", None) or "")
        return f"no test here measures {', '.join(missing)}" if missing else None

    def pytest_terminal_summary(self) -> None:
        """Say of every row that fails what was measured, what rows would take, and what a time budget left out."""
        failed = [report for word in NEWS for report in self.reporter.getreports(word)]
        if failed and self.config.option.tbstyle != "no":
            title = "NOT CLEARED" if self.config.getoption("compressed", None) else "NOT REPRODUCED"
            self.reporter.section(title, red=True, bold=True)
            for report in failed:
                self.reporter.write_line(f"{report.longrepr}\n")
        if self.config.option.collectonly and self.rows:
            self.reporter.section("estimated time, in the order of the run")
            for line in estimates(self.items, each=self.config.get_verbosity() > -2):
                self.reporter.write_line(line)
        budget = self.config.stash.get(BUDGET, None)
        if budget is not None and budget.left:
            self.reporter.section("time budget")
            for line in left_out(budget.left, self.config.invocation_params.args):
                self.reporter.write_line(line)

    def _plan_for_workers(self) -> None:
        """Plan a session of workers by the number of its items; what each takes is not known here."""
        if self.of_workers:
            self.progress.plan(dict.fromkeys(self.of_workers, 1.0))
            self.of_workers = []

    def _seat(self, word: str) -> None:
        """Make room for the words before this one: the last line lists categories as they first appear."""
        for earlier in WORDS[: WORDS.index(word)]:
            self.reporter.stats.setdefault(earlier, [])
        if word in NEWS:
            self.reporter.stats.setdefault("failed", [])  # so that the last line is red

    def _fresh_line(self) -> None:
        self.reporter.ensure_newline()
        if self.writer.width_of_current_line:  # dots are written without telling the reporter
            self.writer.line()

    def _lines(self, result: Result, report: pytest.TestReport) -> Iterator[str]:
        width = self.writer.fullwidth if self.reporter.isatty() else max(self.writer.fullwidth, LOG_WIDTH)
        word = word_of(result, report)
        earlier = _is_shown(result, report) and result.is_earlier
        body, verdict = row_line(result, word + OF_EARLIER * earlier, width - 1)
        dim = result.control or word.endswith(ON_RECORD)
        colour = COLOURS.get(word.removesuffix(ON_RECORD), "yellow")
        yield self.writer.markup(body, light=dim) + self.writer.markup(verdict, **{colour: True, "light": dim})
        if self._verbose and result.reason and result.value is not None:
            yield from textwrap.wrap(result.reason, width - 1, initial_indent="    ", subsequent_indent="    ")


def register(config: pytest.Config, progress: SessionProgress) -> None:
    """Hook the terminal up, in the process that has one; after pytest's own reporter, so in `pytest_sessionstart`."""
    if config.pluginmanager.hasplugin("terminalreporter") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Terminal(config, progress), "bench-terminal")
