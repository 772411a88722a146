"""The suite as a pytest plugin: options, markers, outcomes, and the one hook that records."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict

import pytest

from bench import closing, hold, plan, scales, select, terminal
from bench.measure.progress import SessionProgress
from bench.measure.store import NotOnRecord
from bench.options import add_options, settings
from bench.outcomes import EVIDENCE, ON_RECORD, recorded
from bench.record import Recorder, options_of
from bench.verdict.conclude import not_run
from bench.verdict.evidence import Result
from bench.verdict.rows import Row
from bench.writer import RECORDER, TOUCHED, UNDECIDED, UNDECIDED_STATUS, Writer
from models.damaged import damaged_file
from models.data.assets import cache_folder
from models.data.cache import clean, said
from models.data.embedded import SMOLLM2, copy_name
from models.device import broken, out_of_memory
from models.errors import InputError, UnusableModel

PROGRESS = pytest.StashKey[SessionProgress]()
SESSION = pytest.StashKey[pytest.Session]()
MARKERS = (
    "claim(id): the claim and part that the test measures",
    "gpu: the GPU scale; runs with -m gpu and skips where there is no CUDA device",
    "paper: needs the papers' own models and data; runs with --scale=paper",
    "checkpoint: judges what --compressed names; nothing else runs with that option",
    "slow: takes longer than the rest of tests/ together",
    "cost(seconds, embedded=, gpu=, of=, times=, how=, fixture=, shared=): seconds of a test; of each contestant of a "
    "class, times what a function says of it, made in a way of its own; once for all rows, of what a fixture makes or "
    "a name stands for. Three numbers are of quick, normal and thorough",
    "leads: what much rests on; runs before what costs more than a moment",
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
    plan.check(config)
    _check_workers(config)


def _check_workers(config: pytest.Config) -> None:
    """Refuse more workers than GPUs, where GPUs are asked for."""
    workers = len(config.getoption("tx", None) or ())
    if workers < 2 or scales.shown(config.option.markexpr, config.option.scale) == "embedded":
        return
    import torch  # noqa: PLC0415 - asked of GPUs only

    if not config.getoption("device"):
        scales.refuse_more_workers_than_gpus(workers, torch.cuda.device_count())


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Print the claims with `--claims=list`, as `--markers` prints markers; clean the cache with `--clean-cache`."""
    if config.getoption("clean_cache"):
        print(_cleaned())
    elif config.getoption("claims") == "list":
        print(select.listing())
    else:
        return None
    return 0


def _cleaned() -> str:
    cache = cache_folder()
    try:
        return said(cache, clean(cache, keep=copy_name(SMOLLM2.sha256)))
    except InputError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_report_header(config: pytest.Config) -> str:
    """Name what is measured and how thoroughly."""
    options = config.option
    scale = scales.shown(options.markexpr, options.scale)
    return f"compression claims: scale {scale}, effort {options.effort}, model {options.model or 'embedded'}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the GPU scale to `-m gpu`, the papers' models to `--scale=paper`; then order, and keep to a budget."""
    away = ["gpu"] if not scales.asks_for_gpu(config.option.markexpr) else []
    away += ["paper"] if config.getoption("scale") != "paper" else []
    others = [item for item in items if any(item.get_closest_marker(scale) for scale in away)]
    judging = bool(config.getoption("compressed"))
    others += [item for item in items if item not in others and (_of_checkpoint(item) is not judging)]
    kept = [item for item in items if item not in others]
    if (wanted := config.getoption("claims")) is not None:
        kept, dropped = select.selected(kept, wanted)
        others += dropped
    items[:] = plan.planned(config, kept)
    taken = set(items)
    if others := [*others, *(item for item in kept if item not in taken)]:
        config.hook.pytest_deselected(items=others)


def _of_checkpoint(item: pytest.Item) -> bool | None:
    """True for a row of a checkpoint, None where no row was asked for, False for every other test."""
    if item.get_closest_marker("checkpoint") is None:
        return False
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return True if isinstance(parameters.get("row"), Row) else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what no longer fits in the time budget, before anything is made for it."""
    plan.leave_out(item)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Let bad input that shows only while measuring fail its test with one sentence, never with a traceback.

    A row whose variants on record are not those that the code now asks for cannot be derived; it is shown as it is.
    """
    try:
        with _in_one_sentence():
            return (yield)
    except NotOnRecord as error:
        pytest.skip(str(error))


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: object, request: object) -> Generator[None, object, object]:
    """Let bad input that shows in a fixture fail its test with one sentence too."""
    with _in_one_sentence():
        return (yield)


@contextmanager
def _in_one_sentence() -> Generator[None, None, None]:
    """Fail on bad input, damaged files and a full GPU, and end with the model or the GPU, without a traceback."""
    try:
        yield
    except UnusableModel as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    except InputError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None  # said once
    except Exception as error:
        if reason := out_of_memory(error) or damaged_file(error):
            raise pytest.fail.Exception(reason, pytrace=False) from None
        if reason := broken(error):
            pytest.exit(reason, returncode=pytest.ExitCode.INTERRUPTED)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hang a test's results on its report, which travels from worker processes too."""
    report = yield
    results = item.stash.get(EVIDENCE, []) if call.when == "call" or report.skipped else []
    if report.skipped and not results and not hasattr(report, "wasxfail"):
        results = _instead(item, report)
    report.evidence = [asdict(result) for result in results]  # type: ignore[attr-defined]
    report.on_record = item.stash.get(ON_RECORD, False)  # type: ignore[attr-defined]
    return report


def _instead(item: pytest.Item, report: pytest.TestReport) -> list[Result]:
    """Result of a row whose test was skipped: what is on record of it, else that it was not run and why."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    row, scale = parameters.get("row"), str(parameters.get("session", ""))
    if not isinstance(row, Row):
        return []
    known = recorded(item.config, row, scale)
    if known is not None:
        item.stash[ON_RECORD] = True
        return [known]
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return [not_run(row, reason.removeprefix("Skipped: "), scale, str(item.config.getoption("effort")))]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Record and show results in one process only."""
    config = session.config
    config.stash[SESSION] = session
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Writer(config))
    terminal.register(config, config.stash[PROGRESS])


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Give a run that left a checkpoint undecided an exit status of its own."""
    if exitstatus == pytest.ExitCode.OK and session.config.stash.get(UNDECIDED, False):
        session.exitstatus = UNDECIDED_STATUS


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Take the folders that results go to, in the process that has the terminal."""
    if not hasattr(session.config, "workerinput") and not session.config.option.collectonly:
        hold.take(session)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let other runs have this one's folders."""
    hold.release(config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None, None, None]:
    """Write the pages of what was measured, and print the matrix after everything else."""
    yield
    if config.stash[TOUCHED]:
        if not closing.write_pages(terminalreporter, config, config.stash[TOUCHED]):
            config.stash[SESSION].exitstatus = pytest.ExitCode.USAGE_ERROR
        for line in config.stash[RECORDER].refused:
            terminalreporter.write_line(f"not recorded: {line}")
