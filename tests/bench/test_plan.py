"""Plans as a user meets them: estimates of what would run, what a budget leaves out, and the order of the GPU scale."""

from dataclasses import replace

import pytest

from bench import threads
from bench.measure.settings import SCALES
from bench.verdict.evidence import FILE, read
from tests.bench.sessions import ROOT

ROWS = """
import time
import pytest
from bench.parameters import parameters
from bench.verdict.documents import Interval
from bench.verdict.regions import Region
from bench.verdict.rows import Row

CHEAP = [Row(f"KP1-{i}", "KP1a", "a number", Region(0.0, 1.0)) for i in range(2)]
DEAR = Row("KP4-dear", "KP4a", "a number", Region(0.0, 1.0), contestants=(7,))

@pytest.mark.cost(2)
@pytest.mark.parametrize("row", parameters(*CHEAP))
def test_cheap(session, conclude, row):
    time.sleep({sleep})
    conclude(row, Interval(0.5, 0.4, 0.6), "nothing")

@pytest.mark.cost(3)
@pytest.mark.cost(of=int, embedded=3600)
@pytest.mark.parametrize("row", parameters(DEAR))
def test_dear(session, conclude, row):
    conclude(row, Interval(0.5, 0.4, 0.6), "nothing")
"""


GPU_ITEMS = 3


@pytest.fixture
def project(pytester, gpt2_folder, text_file, monkeypatch):
    """A folder with three rows, one of them dear, and how to run them in this process, as on two threads."""
    monkeypatch.setattr(threads, "here", lambda: threads.MARKED)
    pytester.makeini("[pytest]")

    def run(*options, sleep=0):
        pytester.makepyfile(test_rows=ROWS.replace("{sleep}", str(sleep)))
        own = "--model", str(gpt2_folder), "--text", str(text_file)
        plugins = "-p", "bench.plugin", "-p", "bench.conftest", "-p", "no:cacheprovider"
        return pytester.runpytest_inprocess("test_rows.py", *plugins, *own, *options)

    return run


def test_collecting_prints_what_each_row_would_take_and_totals_by_paper(project):
    done = project("--collect-only", "-q")
    lines = [
        "*2 s  KP1-0",
        "*2 s  KP1-1",
        "*60 min  KP4-dear",
        "*60 min  krony* 3 item(s)",
        "*60 min  in all, on 2 CPU threads",
    ]
    done.stdout.fnmatch_lines(lines)


def test_a_budget_takes_what_fits_and_names_the_rest_with_its_command(project):
    done = project("--time-budget=1m")
    done.assert_outcomes(deselected=1 + GPU_ITEMS)
    done.stdout.fnmatch_lines(
        ["1 item(s) left out by --time-budget: KP4 1", "to run them: pytest *--resume --claims KP4"]
    )
    assert (
        "2 reproduced" in done.stdout.str() and "--time-budget=1m" not in done.stdout.str().partition("to run them")[2]
    )


def test_items_that_run_past_the_budget_leave_out_later_ones_which_keep_their_record(project, pytester, gpt2_folder):
    record = pytester.path / "reports" / gpt2_folder.name
    project("--record", "--claims", "KP1")
    before = read(record).rows["KP1-1"]
    done = project("--record", "--time-budget=4.2s", "--claims", "KP1", sleep=2.5)
    done.stdout.fnmatch_lines(["1 item(s) left out by --time-budget: KP1 1"])
    after = read(record).rows
    assert after["KP1-1"] == before and after["KP1-0"].run != before.run


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--time-budget=90"], "--time-budget is '90'; give hours, minutes or seconds with their letter*"),
        (["--time-budget=9m", "-n", "2"], "--time-budget is for one process and -n starts several*"),
    ],
)
def test_a_budget_that_cannot_be_kept_is_refused_in_a_sentence(project, options, message):
    done = project(*options)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([f"ERROR: {message}"])
    assert "Traceback" not in done.stderr.str()


def test_the_gpu_scale_begins_with_instruments_and_long_context_and_ends_with_training(pytester):
    """As a machine without a GPU lists it, with a total by paper."""
    common = "-c", ROOT / "pyproject.toml", "-p", "bench.plugin", "-p", "no:cacheprovider"
    done = pytester.runpytest_inprocess(ROOT / "bench", *common, "-m", "gpu", "--collect-only", "-q")
    out = done.stdout.str().partition("estimated time, in the order of the run")[2]
    rows = [line.split()[-1] for line in out.splitlines()[1:]]
    places = {row: place for place, row in enumerate(rows)}

    def of(*beginnings, kinds=()):
        return [places[row] for row in rows if row.startswith(beginnings) or any(kind in row for kind in kinds)]

    instruments, long_context = of("INSTRUMENT-noise", "INSTRUMENT-dtype", "VERDICTS-"), of("LC")
    methods, trained = of("SV3-", "SV4-", "SV10-", "SV12-"), of("SL7-", "SV15-", kinds=("-trained-", "-healed-"))
    assert max(instruments) < min(long_context) and max(long_context) < min(methods) and max(methods) < min(trained)
    assert len(long_context) > 30 and len(trained) > 20
    for name in ("long_context", "krony", "survey", "small_models", "in all, on one H100"):
        assert f"  {name}" in out


@pytest.fixture
def small_gpu(monkeypatch, pytester, gpt2_folder, text_file):
    """The GPU scale at toy size on the device that is given, and how to run its rows in this process."""
    tiny = replace(SCALES["embedded"]["normal"], scale="gpu", contexts=(4, 8, 16), targets=16, documents=3)
    tiny = replace(tiny, calibration_sequences=2, calibration_length=16, resamples=100)

    def run(device, *options):
        monkeypatch.setitem(SCALES, "gpu", {"normal": replace(tiny, device=device)})
        common = "-c", ROOT / "pyproject.toml", "--rootdir", pytester.path, "-p", "no:cacheprovider"
        own = "--model", gpt2_folder, "--text", text_file, "-m", "gpu", "-k", "LC3"
        place = ROOT / "bench" / "long_context" / "test_growth.py"
        return pytester.runpytest_inprocess(place, "-p", "bench.plugin", *common, *own, *options)

    return run


def test_an_interrupted_gpu_run_is_resumed(small_gpu, pytester):
    out = pytester.path / "out"
    small_gpu("cpu", "--report-dir", out)
    before = read(out)
    small_gpu("cpu", "--report-dir", out, "--resume")
    after = read(out)
    assert before.variants and (out / FILE).is_file()
    assert {v.run for v in after.variants.values()} == {v.run for v in before.variants.values()}
    assert {row.run for row in after.rows.values()}.isdisjoint(row.run for row in before.rows.values())


def test_a_gpu_record_is_derived_again_on_a_machine_without_one(small_gpu, pytester, gpt2_folder):
    small_gpu("cpu", "--record")
    recorded = read(pytester.path / "reports" / gpt2_folder.name).rows
    small_gpu("cuda", "--resume")
    derived = read(pytester.path / "reports" / "local" / gpt2_folder.name)
    assert set(derived.rows) == set(recorded) and not derived.variants
    assert all(replace(derived.rows[name], run="") == replace(row, run="") for name, row in recorded.items())
