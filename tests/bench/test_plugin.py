"""The suite as its user runs it: on a folder and a text of their own, in a process of its own."""

import json
import os
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from bench.measure.session import Session
from bench.measure.settings import SCALES
from bench.measure.store import Store
from bench.options import settings
from bench.verdict.evidence import FILE, Result, append, read
from models.errors import InputError
from tests.bench.sessions import ROOT, Silent, suite

USAGE = pytest.ExitCode.USAGE_ERROR
ALGEBRA, LONG_CONTEXT = ("bench/krony/test_algebra.py",), ("bench/long_context", "bench/survey/test_one_shot.py")


@pytest.fixture(scope="module")
def own(gpt2_folder, text_file):
    return ["--model", str(gpt2_folder), "--text", str(text_file), "--contexts", "4,8,16"]


@pytest.fixture(scope="module")
def first_run(own, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports") / "tiny"
    (folder.parent / "README.md").write_text("a user's own page\n")
    return suite(*own, "--effort=quick", "--report-dir", folder, "--claims", "LC3,SV4", places=LONG_CONTEXT), folder


def told(done):
    return " ".join((done.stdout + done.stderr).split())


def test_own_model_and_text_give_the_same_pages(first_run, own):
    done, folder = first_run
    assert done.returncode == 0, done.stdout + done.stderr  # quick effort decides nothing
    assert "claims, embedded scale" in done.stdout and "LC3a rtn-w8-g64" in done.stdout
    names = {path.name for path in folder.iterdir()}
    assert {FILE, "README.md", "long-context.md", "survey.md", "kl-against-context.png"} <= names
    evidence = read(folder)
    assert {f"LC3-rtn-w{bits}-g64" for bits in (8, 4, 3)} <= set(evidence.rows) and not evidence.damaged
    assert all(len(row.model_sha256) == 64 for row in evidence.rows.values())
    assert {row.documents for row in evidence.rows.values()} == {3, 2}  # of long context and of the survey
    (header,) = evidence.runs.values()
    named = header["options"]["model"], header["options"]["text"]
    assert named == (own[1].rpartition("/")[2], own[3].rpartition("/")[2])  # pages are shared, folders are not


def test_nothing_outside_the_report_folder_is_written(first_run):
    _, folder = first_run
    assert (folder.parent / "README.md").read_text() == "a user's own page\n"
    assert {path.name for path in folder.parent.iterdir()} == {"README.md", "tiny"}


def test_every_row_names_variants_that_are_on_record(first_run):
    evidence = read(first_run[1])
    for row in evidence.rows.values():
        assert row.variants and set(row.variants) <= set(evidence.variants), row.row


def test_resume_measures_nothing_again_and_says_the_same(first_run, own):
    _, folder = first_run
    before = read(folder)
    done = suite(*own, "--effort=quick", "--report-dir", folder, "--claims", "LC3,SV4", "--resume", places=LONG_CONTEXT)
    after = read(folder)
    assert {v.run for v in after.variants.values()} == {v.run for v in before.variants.values()}, told(done)
    for name, row in before.rows.items():
        again = asdict(after.rows[name]) | {"run": row.run}
        assert again == asdict(row)


def test_a_torn_line_and_a_damaged_neighbour_harm_nothing(first_run, own, tmp_path):
    _, folder = first_run
    neighbour, here = tmp_path / "neighbour", tmp_path / "here"
    for place in (neighbour, here):
        place.mkdir()
        (place / FILE).write_text((folder / FILE).read_text() + '{"kind": "row", "row": "LC1-to')
    done = suite(*own, "--effort=quick", "--report-dir", here, "--claims", "KP2", places=ALGEBRA)
    assert done.returncode == 0 and "Traceback" not in told(done), told(done)
    assert "is damaged and left out" in told(done)
    assert set(read(folder).rows) < set(read(here).rows) and len(read(here).damaged) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--contexts", "4,65"], "give longer or more documents, or lower --contexts"),
        (["--claims", "KPP1"], "--claims names 'KPP1', which is no claim; the nearest are"),
        (["--device", "cuda"], "no CUDA GPU; use --device=cpu"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(own, tmp_path, change, message):
    options = [*own, "--effort=quick", "--report-dir", tmp_path / "out", "-k", "LC3", *change]
    done = suite(*options, places=LONG_CONTEXT)
    assert done.returncode == USAGE and message in told(done), told(done)
    assert "Traceback" not in told(done) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data_dir": ROOT / "nowhere"}, "--data-dir names .*nowhere, which does not exist"),
        ({"train_text": ROOT / "nowhere.txt"}, "--train-text names .*nowhere.txt, which does not exist"),
        ({"record": True, "effort": "quick"}, "--record writes to reports/, and nothing of quick effort"),
        ({"record": True, "report_dir": ROOT}, "--record writes to reports/"),
        ({"record": True, "compressed": "x"}, "--record is for claims"),
        ({"gpu_memory": 0.0}, "--gpu-memory is 0; give gigabytes above 0"),
        ({"gpu_memory": float("nan")}, "--gpu-memory is nan"),
        ({"dense": "x"}, "--dense goes with --compressed"),
        ({"dense": "x", "model": "y", "compressed": "z"}, "--dense goes with --compressed"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    chosen = {"effort": "normal", **options}
    with pytest.raises(pytest.UsageError, match=message):
        settings(SimpleNamespace(getoption=chosen.get), "embedded")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b'{"kind": "run", "run": "x", "format": 9}\n', "is of format 9")],
)
def test_a_record_that_cannot_be_used_is_named_and_kept(own, tmp_path, content, message):
    (tmp_path / FILE).write_bytes(content)
    done = suite(*own, "--effort=quick", "--report-dir", tmp_path, "--claims", "KP2", "--resume", places=ALGEBRA)
    assert done.returncode == USAGE and message in told(done) and "Traceback" not in told(done), told(done)
    assert (tmp_path / FILE).read_bytes() == content


@pytest.mark.parametrize("kind", ["file", "read-only"])
def test_a_report_folder_that_cannot_be_written_is_named(own, tmp_path, kind):
    place = tmp_path / "out"
    if kind == "file":
        place.write_text("no folder")
    elif os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    else:
        place.mkdir(mode=0o500)
    done = suite(*own, "--effort=quick", "--report-dir", place, "--claims", "KP2", places=ALGEBRA)
    assert done.returncode == USAGE and "give another folder with --report-dir" in told(done), told(done)
    assert "Traceback" not in told(done)


def build(**changes):
    chosen = replace(SCALES["embedded"]["quick"], contexts=(4, 8, 16), **changes)
    return Session(chosen, Store(), Silent(), ROOT / "unused")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "./nowhere"}, "no model folder at ./nowhere"),
        ({"text": ROOT / "missing.txt"}, "no text file at .*missing.txt"),
        ({"targets": 200}, "context 16 and 200 targets need 215 positions and .* has 128; give --contexts"),
        ({"calibration_sequences": 1000}, "calibration asks for 1000 x 128 tokens"),
    ],
)
def test_what_does_not_fit_is_named_before_anything_is_measured(gpt2_folder, text_file, changes, message):
    session = build(**{"model": str(gpt2_folder), "text": text_file, **changes})
    with pytest.raises(InputError, match=message):
        session.check()
        assert session.calibration


@pytest.mark.parametrize("contexts", ["8,4", "four", "8", "0,4", ""])
def test_contexts_that_are_no_ascending_list_are_refused(contexts):
    options = {"effort": "quick", "contexts": contexts}
    with pytest.raises(pytest.UsageError, match=rf"--contexts is '{contexts}'"):
        settings(SimpleNamespace(getoption=options.get), "embedded")


def test_gpu_tests_skip_with_the_reason_where_there_is_no_gpu(own, tmp_path):
    options = ["-m", "gpu", "-k", "LC3", "-v", "--report-dir", tmp_path / "out"]
    done = suite(*own, *options, env={"CUDA_VISIBLE_DEVICES": ""}, places=LONG_CONTEXT)
    assert done.returncode == 0, done.stdout
    assert "not run" in done.stdout and "needs a CUDA GPU" in told(done)


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
    from bench.measure.stale import stale_rows

    assert "the code that measures it has changed" in stale_rows(read(record))["KP3-van-loan"]


def test_a_result_of_the_first_version_is_of_an_earlier_version(tmp_path):
    from bench.measure.stale import stale_rows

    old = {"kind": "row", "row": "LC1-x", "claim": "LC1", "part": "a", "verdict": "reproduced", "variants": None}
    (tmp_path / FILE).write_text(json.dumps(old) + "\n")
    append(tmp_path, Result("LC1-y", "LC1", "a", "not run", variants=[]))
    assert list(stale_rows(read(tmp_path))) == ["LC1-x"]
