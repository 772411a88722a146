"""Outcomes against the record: what is news, what replaces what, and what is derived or measured again."""

import json
from dataclasses import asdict

import pytest

from bench.measure.stale import stale_rows
from bench.verdict.evidence import FILE, Result, append, read
from tests.bench.sessions import ALGEBRA, ROOT, suite, told

OUTCOMES = """
from bench.parameters import parameters
import pytest
from bench.verdict.documents import Interval
from bench.verdict.regions import Region
from bench.verdict.rows import Row

CASES = {cases!r}
ROWS = [Row(name, "LC1a", "a number", Region(0.0, 1.0)) for name in CASES]

@pytest.mark.parametrize("row", parameters(*ROWS))
def test_row(session, conclude, row):
    low, high = CASES[row.name]
    conclude(row, Interval((low + high) / 2, low, high), "nothing")
"""
INSIDE, OUTSIDE, ACROSS, BEYOND = (0.2, 0.8), (2.0, 3.0), (0.5, 3.0), (1.5, 2.0)
CASES = {
    # row: what was measured before, what is measured now, how the test ends
    "LC1-new-inside": (None, INSIDE, "reproduced"),
    "LC1-new-outside": (None, OUTSIDE, "not reproduced"),
    "LC1-new-across": (None, ACROSS, "inconclusive"),
    "LC1-deviation-stays": (OUTSIDE, OUTSIDE, r"not reproduced \(on record\)"),
    "LC1-deviation-goes": (OUTSIDE, INSIDE, "reproduced"),
    "LC1-deviation-unsure": (OUTSIDE, ACROSS, "inconclusive"),
    "LC1-held-and-fails": (INSIDE, OUTSIDE, "not reproduced"),
    "LC1-within-what-was-seen": (ACROSS, BEYOND, r"not reproduced \(on record\)"),
}
NEWS = {"LC1-new-outside", "LC1-deviation-goes", "LC1-held-and-fails"}


def run_cases(pytester, own, which, *options):
    cases = {row: case[which] for row, case in CASES.items() if case[which]}
    pytester.makepyfile(test_cases=OUTCOMES.format(cases=cases))
    return pytester.runpytest_subprocess("test_cases.py", *own[:4], "-p", "no:cacheprovider", *options)


@pytest.fixture
def project(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini("[pytest]")  # the project's root is its folder
    pytester.makeconftest('pytest_plugins = ("bench.plugin", "bench.conftest")')
    return pytester


def test_verdicts_become_outcomes_against_the_record(project, own):
    """What is on record decides whether a claim that fails is news; only `--record` writes there."""
    record = project.path / "reports" / own[1].rpartition("/")[2]
    run_cases(project, own, 0, "--record")
    recorded = (record / FILE).read_bytes()
    done = run_cases(project, own, 1)
    for row, (_, _, word) in CASES.items():
        done.stdout.re_match_lines([rf"LC1a {row.removeprefix('LC1-')} .* {word}$"])
    failed = {line.partition("[")[2].split("]")[0] for line in done.outlines if line.startswith("FAILED")}
    done.stdout.no_fnmatch_line("*Traceback*")
    assert done.ret == 1 and all(any(row in text for text in (*failed, done.stdout.str())) for row in NEWS)
    assert (record / FILE).read_bytes() == recorded
    local = read(record.parent / "local" / record.name).rows
    assert {name: row.verdict for name, row in local.items()} == {
        name: word.removesuffix(r" \(on record\)") for name, (_, _, word) in CASES.items()
    }


def test_a_row_of_an_earlier_version_is_no_expectation(project, own):
    """What did not vote is not held against what is measured anew."""
    record = project.path / "reports" / own[1].rpartition("/")[2]
    run_cases(project, own, 0, "--record")
    entries = [json.loads(line) for line in (record / FILE).read_text().splitlines()]
    earlier = [entry | {"variants": None} if entry["kind"] == "row" else entry for entry in entries]
    (record / FILE).write_text("".join(json.dumps(entry) + "\n" for entry in earlier))
    done = run_cases(project, own, 1, "-k", "LC1-deviation-goes")
    assert done.ret == 0, done.stdout.str()


def test_the_record_is_never_replaced_by_less(project, own):
    record = project.path / "reports" / own[1].rpartition("/")[2]
    run_cases(project, own, 0, "--record", "--effort=thorough")
    before = read(record).rows
    done = run_cases(project, own, 1, "--record")
    after = read(record).rows
    assert {name: after[name] for name in before} == before and set(after) == set(CASES)
    done.stdout.fnmatch_lines(["*not recorded: LC1-held-and-fails: on record with thorough effort*"])


def test_a_row_that_cannot_be_measured_here_does_not_replace_one_that_was(project, own):
    record = project.path / "reports" / own[1].rpartition("/")[2]
    run_cases(project, own, 0, "--record")
    before = read(record).rows["LC1-held-and-fails"]
    skip = OUTCOMES.replace("    low, high", '    pytest.skip("no such device")\n    low, high')
    project.makepyfile(test_cases=skip.format(cases=dict.fromkeys(CASES, INSIDE)))
    project.runpytest_subprocess("test_cases.py", *own[:4], "-p", "no:cacheprovider", "--record")
    assert read(record).rows["LC1-held-and-fails"] == before
    assert read(record).rows["LC1-new-inside"].verdict == "not run"


def test_a_fresh_clone_derives_the_record_again_without_a_model(own, tmp_path):
    """`--resume` gives every row whose code stands the same digits, and measures nothing."""
    options = [
        *own,
        "--rootdir",
        tmp_path,
        "-c",
        ROOT / "pyproject.toml",
        "--claims",
        "KP3,KP10",
        "--effort=normal",
    ]
    done = suite(*options, "--record", places=ALGEBRA)
    record = tmp_path / "reports" / own[1].rpartition("/")[2]
    rows = read(record).rows
    assert {"KP3-van-loan", "KP10-latency", "KP10-exact"} == set(rows), told(done)
    again = suite(*options, "--resume", places=ALGEBRA)
    local = read(tmp_path / "reports" / "local" / record.name)
    for name, row in local.rows.items():
        assert asdict(row) | {"run": ""} == asdict(rows[name]) | {"run": ""}, told(again)
    assert not local.variants  # all of them were on record


def test_rows_of_other_code_are_measured_again_and_named_as_stale(own, tmp_path):
    options = [*own, "--rootdir", tmp_path, "-c", ROOT / "pyproject.toml", "--claims", "KP3"]
    suite(*options, "--record", places=ALGEBRA)
    record = tmp_path / "reports" / own[1].rpartition("/")[2]
    lines = (record / FILE).read_text().split("\n")
    changed = [line.replace('"code": "', '"code": "other') for line in lines]
    (record / FILE).write_text("\n".join(changed))
    suite(*options, "--resume", places=ALGEBRA)
    assert read(tmp_path / "reports" / "local" / record.name).variants
    assert "the code that measures it has changed" in stale_rows(read(record))["KP3-van-loan"]


def test_a_result_of_the_first_version_is_of_an_earlier_version(tmp_path):
    old = {"kind": "row", "row": "LC1-x", "claim": "LC1", "part": "a", "verdict": "reproduced", "variants": None}
    (tmp_path / FILE).write_text(json.dumps(old) + "\n")
    append(tmp_path, Result("LC1-y", "LC1", "a", "not run", variants=[]))
    assert list(stale_rows(read(tmp_path))) == ["LC1-x"]
