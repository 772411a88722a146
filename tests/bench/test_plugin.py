"""The suite as its user runs it: on a folder and a text of their own, in a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.measure.session import Lab
from bench.measure.settings import SCALES, settings
from bench.verdict.evidence import read
from models.errors import InputError

ROOT = Path(__file__).parents[2]


def run(*arguments, env=None):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "bench/long_context/test_long_context.py",
        "bench/survey/test_one_shot.py",
        "-p",
        "no:cacheprovider",
    ]
    return subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **(env or {})},
    )


@pytest.fixture(scope="module")
def own(gpt2_folder, text_file):
    return ["--model", str(gpt2_folder), "--text", str(text_file), "--contexts", "4,8,16"]


@pytest.fixture(scope="module")
def first_run(own, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports") / "tiny"
    done = run(*own, "--effort=quick", "--report-dir", str(folder), "-k", "LC3 or SV4")
    return done, folder


def test_own_model_and_text_give_the_same_pages(first_run, own):
    done, folder = first_run
    assert done.returncode in {0, 1}, done.stdout + done.stderr  # a claim that fails is a result
    assert "claims, embedded scale" in done.stdout
    names = {path.name for path in folder.iterdir()}
    assert {"evidence.jsonl", "README.md", "long-context.md", "survey.md", "kl-against-context.png"} <= names
    lines = [json.loads(line) for line in (folder / "evidence.jsonl").read_text().splitlines()]
    rows = {line["row"]: line for line in lines if line["kind"] == "row"}
    assert {f"LC3-rtn-w{bits}-g64" for bits in (8, 4, 3)} <= set(rows)
    assert all(row["documents"] == 3 and len(row["model_sha256"]) == 64 for row in rows.values())
    (header,) = (line["options"] for line in lines if line["kind"] == "run")
    assert (header["model"], header["text"]) == (Path(own[1]).name, Path(own[3]).name)  # pages are shared, folders not
    assert (folder.parent / "README.md").read_text().count("| LC") == 8


def test_resume_measures_nothing_again_and_says_the_same(first_run, own):
    _, folder = first_run
    before = {path: path.stat().st_mtime_ns for path in (folder / "measurements").iterdir()}
    rows = (folder / "evidence.jsonl").read_text().count('"kind": "row"')
    done = run(*own, "--effort=quick", "--report-dir", str(folder), "-k", "LC3 or SV4", "--resume")
    assert {path: path.stat().st_mtime_ns for path in (folder / "measurements").iterdir()} == before, done.stdout
    assert (folder / "evidence.jsonl").read_text().count('"kind": "row"') == rows


def test_bad_input_is_one_sentence_and_leaves_nothing(own, tmp_path):
    arguments = [*own[:4], "--contexts", "4,65", "--effort=quick", "--report-dir", str(tmp_path / "out"), "-k", "LC3"]
    done = run(*arguments)
    assert done.returncode == 4, done.stdout + done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert "context 65 and 64 targets need 128 positions" not in said  # 128 positions is what the model has
    assert "give longer or more documents, or lower --contexts" in said  # and 129 tokens what no document has
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def build(**changes):
    chosen = replace(SCALES["embedded"]["quick"], contexts=(4, 8, 16), **changes)
    return Lab.build(chosen, Path("unused"), resume=False, progress=None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "./nowhere"}, "no model folder at ./nowhere"),
        ({"text": Path("missing.txt")}, "no text file at missing.txt"),
        ({"targets": 200}, "context 16 and 200 targets need 215 positions and .* has 128; give --contexts"),
        ({"calibration_sequences": 1000}, "calibration asks for 1000 x 256 tokens"),
    ],
)
def test_what_does_not_fit_is_named_before_anything_is_measured(gpt2_folder, text_file, changes, message):
    with pytest.raises(InputError, match=message):
        assert build(**{"model": str(gpt2_folder), "text": text_file, **changes}).calibration


@pytest.mark.parametrize("contexts", ["8,4", "four", "8", "0,4", ""])
def test_contexts_that_are_no_ascending_list_are_refused(contexts):
    done = run("--contexts", contexts) if contexts == "8,4" else None
    if done is not None:
        assert (done.returncode, "--contexts is '8,4'" in done.stderr) == (4, True)
    options = {"effort": "quick", "model": None, "text": None, "device": None, "contexts": contexts}
    with pytest.raises(pytest.UsageError, match=rf"--contexts is '{contexts}'"):
        settings(SimpleNamespace(getoption=options.get), "embedded")


def test_gpu_tests_skip_with_the_reason_where_there_is_no_gpu(own, tmp_path):
    done = run(
        *own, "-m", "gpu", "-k", "LC3", "-rs", "--report-dir", str(tmp_path / "out"), env={"CUDA_VISIBLE_DEVICES": ""}
    )
    assert done.returncode == 0, done.stdout
    assert "3 skipped" in done.stdout
    assert "needs a CUDA GPU" in done.stdout
    assert not (tmp_path / "out").exists()


OUTCOMES = """
import pytest
from bench.conftest import conclude, pytest_generate_tests, progress, lab
from bench.verdict.documents import Interval
from bench.verdict.regions import Region

CASES = {cases!r}

@pytest.mark.claim("LC1")
@pytest.mark.parametrize("row", CASES)
def test_row(lab, conclude, row):
    low, high = CASES[row]
    conclude(row, "a number", Interval((low + high) / 2, low, high), Region(0.0, 1.0))
"""
INSIDE, OUTSIDE, ACROSS = (0.2, 0.8), (2.0, 3.0), (0.5, 3.0)
CASES = {
    # row: what was measured before, what is measured now, the outcome of the test
    "LC1-new-inside": (None, INSIDE, "PASSED"),
    "LC1-new-outside": (None, OUTSIDE, "FAILED"),
    "LC1-new-across": (None, ACROSS, "XFAIL"),
    "LC1-deviation-stays": (OUTSIDE, OUTSIDE, "XFAIL"),
    "LC1-deviation-goes": (OUTSIDE, INSIDE, "FAILED"),
    "LC1-deviation-unsure": (OUTSIDE, ACROSS, "XFAIL"),
    "LC1-held-and-fails": (INSIDE, OUTSIDE, "FAILED"),
}


def test_verdicts_become_outcomes(pytester, monkeypatch, own):
    """What is on record decides whether a claim that fails is news; the record is a run of the suite before."""
    folder = pytester.path / "out"
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest((ROOT / "conftest.py").read_text().replace('pytest_plugins = ("pytester",)', ""))
    arguments = [".", *own, "--effort=quick", "--report-dir", str(folder), "-p", "no:cacheprovider", "-v"]
    pytester.makepyfile(OUTCOMES.format(cases={row: before for row, (before, _, _) in CASES.items() if before}))
    pytester.runpytest_subprocess(*arguments)
    pytester.makepyfile(OUTCOMES.format(cases={row: interval for row, (_, interval, _) in CASES.items()}))
    done = pytester.runpytest_subprocess(*arguments)
    for row, (_, _, outcome) in CASES.items():
        done.stdout.re_match_lines([rf".*{row}\b.*{outcome}"])
    verdicts = {row.row: row.verdict for row in read(folder).rows.values()}
    assert verdicts["LC1-new-inside"] == "reproduced"
    assert verdicts["LC1-held-and-fails"] == "not reproduced"
    assert verdicts["LC1-deviation-unsure"] == "inconclusive"
