"""The suite as its user runs it, on a folder and a text of their own: pages, damaged records, and bad input."""

import os
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from bench.measure.session import Session
from bench.measure.settings import SCALES
from bench.measure.store import Store
from bench.options import settings
from bench.verdict.evidence import FILE, read
from models.errors import InputError
from tests.bench.sessions import ALGEBRA, ROOT, Silent, suite, told

USAGE = pytest.ExitCode.USAGE_ERROR
LONG_CONTEXT = ("bench/long_context", "bench/survey/test_one_shot.py")


@pytest.fixture(scope="module")
def first_run(own, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports") / "tiny"
    (folder.parent / "README.md").write_text("a user's own page\n")
    return suite(*own, "--effort=quick", "--report-dir", folder, "--claims", "LC3,SV4", places=LONG_CONTEXT), folder


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
        ({"record": True, "compressed": ["x"]}, "--record is for claims"),
        ({"gpu_memory": 0.0}, "--gpu-memory is 0; give gigabytes above 0"),
        ({"gpu_memory": float("nan")}, "--gpu-memory is nan"),
        ({"dense": "x"}, "--dense goes with --compressed"),
        ({"dense": "x", "model": "y", "compressed": ["z"]}, "--dense goes with --compressed"),
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
