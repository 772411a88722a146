"""A GPU that fails in the middle: one sentence, and what was measured is kept."""

import pytest

from bench.verdict.evidence import read
from tests.bench.sessions import ROOT

ROWS = """
import pytest
import torch
from bench.parameters import parameters
from bench.verdict.documents import Interval
from bench.verdict.regions import Region
from bench.verdict.rows import Row

ROWS = [Row(f"LC1-{{name}}", "LC1a", "a number", Region(0.0, 1.0)) for name in "abc"]

@pytest.mark.parametrize("row", parameters(*ROWS))
def test_row(session, conclude, row):
    if row.name == "LC1-b":
        raise torch.{error}("{message}\\nsecond line")
    conclude(row, Interval(0.5, 0.4, 0.6), "nothing")
"""


@pytest.fixture
def failing(pytester, monkeypatch, gpt2_folder, text_file):
    """Run three rows, of which the second meets an error of the GPU."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini("[pytest]")
    pytester.makeconftest('pytest_plugins = ("bench.plugin", "bench.conftest")')

    def run(error, message):
        pytester.makepyfile(test_rows=ROWS.format(error=error, message=message))
        own = ["--model", gpt2_folder, "--text", text_file, "--report-dir", pytester.path / "out"]
        return pytester.runpytest_subprocess("test_rows.py", *own, "-p", "no:cacheprovider")

    return run


def test_a_driver_that_fails_ends_the_run_and_keeps_what_was_measured(failing, pytester):
    done = failing("AcceleratorError", "CUDA error: unspecified launch failure")
    said = "the GPU failed (CUDA error: unspecified launch failure); what was measured is kept: go on with --resume"
    assert done.ret == pytest.ExitCode.INTERRUPTED
    assert said in done.stdout.str() and "Traceback" not in done.stdout.str()
    assert list(read(pytester.path / "out").rows) == ["LC1-a"]


def test_a_full_gpu_fails_its_row_and_the_others_go_on(failing, pytester):
    done = failing("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2 GiB.")
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    assert "ran out of memory (CUDA out of memory. Tried to allocate 2 GiB.); give a lower --gpu-memory" in (
        done.stdout.str()
    )
    assert "Traceback" not in done.stdout.str()
    assert set(read(pytester.path / "out").rows) == {"LC1-a", "LC1-c"}
