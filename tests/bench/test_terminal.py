"""What the terminal shows of rows, in a session of pytest's own with results that are made up."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.terminal import WORDS, category_of
from bench.verdict.evidence import Result
from bench.verdict.regions import Verdict

ROOT = Path(__file__).parents[2]
CONFTEST = """
from dataclasses import asdict
import pytest
from bench import terminal
from bench.measure.progress import SessionProgress
from bench.verdict.evidence import Result
from bench.verdict.wording import failure_text

RESULTS, PROGRESS = pytest.StashKey[list](), pytest.StashKey[SessionProgress]()

def pytest_configure(config):
    config.addinivalue_line("markers", "claim(of): the claim")
    config.addinivalue_line("markers", "shown: from the record")

def pytest_sessionstart(session):
    session.config.stash[PROGRESS] = SessionProgress(session.config)
    terminal.register(session.config, session.config.stash[PROGRESS])

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call" or report.skipped:
        report.evidence = [asdict(result) for result in item.stash.get(RESULTS, [])]
        report.on_record = item.get_closest_marker("shown") is not None
    return report

@pytest.fixture
def progress(request):
    return request.config.stash[PROGRESS]

@pytest.fixture
def conclude(request):
    def end(row, verdict, low=0.863, value=0.949, high=1.044, known=False, **more):
        of = request.node.get_closest_marker("claim").args[0]
        claim, part = (of, "") if of.isupper() else (of[:-1], of[-1])
        more = {"statistic": "growth of KL", "accept_low": 1.0, "scale": "embedded", **more}
        result = Result(row, claim, part, verdict, value=value, low=low, high=high, **more)
        request.node.stash[RESULTS] = [result]
        if verdict == "not run":
            pytest.skip(result.reason)
        if verdict == "inconclusive" or known:
            pytest.xfail(result.reason)
        if verdict == "not reproduced":
            pytest.fail(failure_text(result), pytrace=False)
    return end
"""
ROWS = """
import pytest
claim = pytest.mark.claim

@claim("LC3b")
def test_straddles(conclude):
    conclude("LC3-rtn-w4-g128", "inconclusive", reason="it straddles the boundary; more documents would decide")

@claim("KP1a")
def test_counts(conclude):
    conclude("KP1-81M", "reproduced", 8.1e7, 8.1e7, 8.1e7, statistic="parameters", accept_low=81e6, accept_high=81e6)

@claim("LC3c")
@pytest.mark.parametrize("known", [False, True])
def test_deviates(conclude, known):
    conclude("LC3-rtn-w3-g128", "not reproduced", 0.55, 0.612, 0.671, known, accept_low=1.25, because="the band")

@claim("SV5a")
def test_needs_cuda(conclude):
    conclude("SV5-2of4", "not run", None, None, None, reason="torch has kernels for CUDA only", accept_low=None)

@claim("INSTRUMENT")
def test_floor(conclude):
    conclude("INSTRUMENT-floor", "reproduced", accept_low=0.5)

@claim("LC6a")
def test_magnitude(conclude):
    conclude("LC6-magnitude-growth", "reproduced", control=True)

@claim("KP2a")
@pytest.mark.shown
def test_of_an_earlier_run(conclude):
    conclude("KP2-rank", "reproduced", 768.0, 768.0, 768.0, statistic="rank")

def test_ordinary():
    pass
"""
LINES = {
    "LC3b": "LC3b rtn-w4-g128 · growth of KL 0.949 [0.863, 1.044] · ≥ 1 · inconclusive",
    "KP1a": "KP1a 81M · parameters 81,000,000 · 81,000,000 to 81,000,000 · reproduced",
    "LC3c": "LC3c rtn-w3-g128 · growth of KL 0.612 [0.550, 0.671] · ≥ 1.25 · not reproduced",
    "LC3c on record": "LC3c rtn-w3-g128 · growth of KL 0.612 [0.550, 0.671] · ≥ 1.25 · not reproduced (on record)",
    "SV5a": "SV5a 2of4 · torch has kernels for CUDA only · not run",
    "INSTRUMENT": "INSTRUMENT floor · growth of KL 0.949 [0.863, 1.044] · ≥ 0.5 · qualified",
    "LC6a": "LC6a magnitude-growth · growth of KL 0.949 [0.863, 1.044] · ≥ 1 · reproduced, control",
    "KP2a": "KP2a rank · rank 768 · ≥ 1 · reproduced (on record), earlier version",
}
SUMMARY = (
    "1 passed, 1 reproduced, 1 reproduced (on record), 1 not reproduced (on record), 1 inconclusive, 1 qualified, "
    "1 controls, 1 not run, 1 not reproduced in "
)


@pytest.fixture
def suite(pytester, monkeypatch):
    """Rows with every outcome; what it gives runs them and gives the lines of standard output."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "100")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(ROWS)

    def run(*arguments):
        start = pytester.runpytest_subprocess if "-n" in arguments else pytester.runpytest_inprocess
        return start("-p", "no:cacheprovider", *arguments)

    return run


@pytest.mark.parametrize("arguments", [(), ("-q",), ("-v",), ("-ra",), ("-n", "2"), ("-n", "2", "-v")], ids=" ".join)
def test_every_row_has_one_whole_line_of_its_own(suite, arguments):
    done = suite(*arguments)
    assert done.ret == 1
    for line in LINES.values():
        assert done.outlines.count(line) == 1, done.stdout.str()


@pytest.mark.parametrize("control", [False, True])
@pytest.mark.parametrize("claim", ["LC1", "INSTRUMENT", "CHECKPOINT"])
@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not Verdict.PARTLY_REPRODUCED])
def test_every_word_that_a_row_can_end_with_has_its_place(verdict, claim, control):
    result = Result("a row", claim, "", verdict.value, control=control)
    failed = {"failed": verdict is Verdict.NOT_REPRODUCED}
    for how in (failed, {"failed": False, "on_record": True}, {"failed": False, "wasxfail": "known"}):
        assert category_of(SimpleNamespace(evidence=[asdict(result)], **how)) in WORDS


@pytest.mark.parametrize("arguments", [(), ("-q",), ("-v",)], ids=" ".join)
def test_the_last_line_counts_verdicts_in_their_own_words(suite, arguments):
    assert SUMMARY in suite(*arguments).outlines[-1]


def test_rows_stand_under_each_other_without_dots_or_file_names(suite):
    lines = suite().outlines
    start = lines.index(LINES["LC3b"])
    rows = [LINES[key] for key in ("LC3b", "KP1a", "LC3c", "LC3c on record", "SV5a", "INSTRUMENT", "LC6a", "KP2a")]
    assert lines[start : start + len(rows)] == rows
    ordinary = lines[start + len(rows) : start + len(rows) + 2]
    assert ordinary[0] == "" and re.fullmatch(r"\S+\.py \. +\[100%\]", ordinary[1])


def test_more_words_say_why_a_row_is_undecided(suite):
    suite("-v").stdout.fnmatch_lines([LINES["LC3b"], "    it straddles the boundary; more documents would decide"])
    assert "it straddles the boundary" not in suite().stdout.str()


def test_what_is_not_reproduced_says_its_claim_and_shows_no_stack(suite):
    done = suite("-ra")
    done.stdout.fnmatch_lines(
        [
            "*= NOT REPRODUCED =*",
            "LC3-rtn-w3-g128, of LC3c: not reproduced",
            "  claim     Weights at ≤ 4 bits: KL grows with context; at 3 bits very clearly; at 8 bits not.",
            "  part c    3 bits: grows clearly.",
            "  measured  growth of KL: 0.612 [[]0.550, 0.671[]]",
            "  accepted  ≥ 1.25: the band",
        ],
    )
    said = done.stdout.str()
    for noise in ("Traceback", "conftest.py:", "XFAIL", "SKIPPED", "pytest.fail", "= FAILURES"):
        assert noise not in said


def test_tests_without_evidence_fail_as_ever(suite, pytester):
    broken = "import pytest\n@pytest.mark.claim('LC1a')\ndef test_claim(): 1 / 0\ndef test_no_claim(nothing): pass\n"
    pytester.makepyfile(test_broken=broken)
    done = suite("test_broken.py")
    done.stdout.fnmatch_lines(["E  *ZeroDivisionError: division by zero", "FAILED test_broken.py::test_claim*"])
    done.stdout.fnmatch_lines(["ERROR test_broken.py::test_no_claim", "*1 failed, 1 error in*"])


def test_a_row_whose_test_breaks_after_it_concluded_is_a_failure(suite, pytester):
    late = (
        "import pytest\n@pytest.mark.claim('LC1a')\ndef test_late(conclude): conclude('LC1-a', 'reproduced'); 1 / 0\n"
    )
    pytester.makepyfile(test_late=late)
    done = suite("test_late.py")
    done.stdout.fnmatch_lines(["LC1a a · *reproduced", "*= FAILURES =*", "*1 failed in*"])
    assert "1 reproduced" not in done.outlines[-1]


MEASURES = """
import time, pytest

@pytest.mark.claim("LC3b")
@pytest.mark.parametrize("row", range(3))
def test_row(row, conclude, progress):
    with progress.variant(f"rtn-w{row}", 4) as advance:
        for _ in range(4):
            advance(1)
            time.sleep(0.2)
    conclude(f"LC3-w{row}", "reproduced")
"""


def on_a_terminal(*command, columns=80):
    """What a command writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        written = b""
        try:
            while chunk := os.read(ours, 65536):
                written += chunk
        except OSError:  # the other end is closed
            pass
        finally:
            os.close(ours)
    assert process.returncode == 0, written.decode()
    return written.decode()


def as_seen(written):
    """Lines as they stand on the screen in the end, without colour."""
    lines = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", written).split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


@pytest.mark.parametrize("arguments", [(), ("-v",)], ids=" ".join)
def test_the_bar_leaves_lines_whole_on_a_terminal(suite, pytester, monkeypatch, arguments):
    monkeypatch.delenv("COLUMNS")
    pytester.makepyfile(test_bar=MEASURES)
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_bar.py", *arguments)
    written = on_a_terminal(*command)
    assert re.search(r"%\|[^|]+\| 1 of 3 rows, \d+ s, about \d+ s left: rtn-w1 \d+ %", written), written
    lines = as_seen(written)
    for row in range(3):
        assert lines.count(f"LC3b w{row} · growth of KL 0.949 [0.863, 1.044] · ≥ 1 · reproduced") == 1, lines
    assert not any("rows," in line for line in lines), lines
    assert re.fullmatch(r"=* ?3 reproduced in [\d.]+s ?=*", lines[-2]), lines


def test_a_line_fits_a_narrow_terminal(suite, pytester, monkeypatch):
    monkeypatch.delenv("COLUMNS")
    pytester.makepyfile(test_bar=MEASURES)
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_bar.py::test_row[0]")
    lines = as_seen(on_a_terminal(*command, columns=60))
    assert "LC3b w0 · growth o… 0.949 [0.863, 1.044] · ≥ 1 · reproduced" in lines, lines
