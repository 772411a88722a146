"""Rows of long context in looks, as a run measures them and the record derives them again."""

from dataclasses import replace

import pytest

import bench.report.write  # noqa: F401 - before runs in this process, which would each load it anew
from bench.measure.settings import SCALES
from bench.verdict.evidence import read
from tests.bench.sessions import ROOT

LOOKS = (2, 4, 7)


@pytest.fixture
def run(monkeypatch, pytester, gpt2_folder, text_file):
    """Run rows of long context at toy size in this process; into which folder."""
    toy = replace(SCALES["embedded"]["thorough"], contexts=(4, 8, 16), targets=16, documents=7, looks=LOOKS)
    toy = replace(toy, calibration_sequences=2, calibration_length=16, resamples=100, simulations=5)
    monkeypatch.setitem(SCALES, "embedded", {"thorough": toy})

    def start(which, *options):
        common = "-c", ROOT / "pyproject.toml", "--rootdir", pytester.path, "-p", "no:cacheprovider"
        own = "--effort", "thorough", "--model", gpt2_folder, "--text", text_file, "-k", which
        place = ROOT / "bench" / "long_context"
        done = pytester.runpytest_inprocess(place, "-p", "bench.plugin", *common, *own, *options)
        assert "Traceback" not in done.stdout.str() and " error" not in done.stdout.str()
        return read(pytester.path / "reports" / gpt2_folder.name)

    return start


def test_rows_say_their_look_and_stand_on_the_chunks_up_to_it(run):
    record = run("LC3-rtn-w3-g128 or LC7-model", "--record")
    rows = [row for row in record.rows.values() if row.claim == "LC3" and row.details.get("looks")]
    assert rows
    chunks = ("1 to 2", "3 to 4", "5 to 7")
    for row in rows:
        curves = {name.rpartition("documents ")[2] for name in row.variants or [] if ": curve" in name}
        assert curves == set(chunks[: LOOKS.index(row.documents) + 1])


def test_a_control_has_one_look(run):
    record = run("LC3-rtn-w3-g64 or LC3-rtn-w4-g64", "--record")
    controls = [row for row in record.rows.values() if row.control]
    assert len(controls) == 2 and {row.documents for row in controls} == {LOOKS[0]}


def test_a_record_of_looks_is_derived_again(run, pytester, gpt2_folder):
    recorded = run("LC3-rtn-w3-g128 or LC7-model", "--record")
    run("LC3-rtn-w3-g128 or LC7-model", "--resume")
    derived = read(pytester.path / "reports" / "local" / gpt2_folder.name)
    assert set(derived.rows) == set(recorded.rows) and not derived.variants
    for name, row in recorded.rows.items():
        assert replace(derived.rows[name], run="") == replace(row, run="")
