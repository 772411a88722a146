"""Sheets as a user gets them: exit statuses, several checkpoints in one call, what is refused, and the JSON."""

import json
import shutil

import pytest
import torch
from jsonschema import Draft202012Validator

from bench.report import write
from bench.report.comparison import front
from bench.verdict.evidence import read
from compress.layers import grids_of
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerGroup
from compress.swap import apply
from models.load import load
from models.save import save_packed
from models.sources import weight_bytes
from tests.bench.sessions import ROOT, suite

SCHEMA = json.loads((ROOT / "bench" / "report" / "checkpoint.schema.json").read_text())


@pytest.fixture(scope="module")
def made(llama_folder, tmp_path_factory):
    """The dense model again, a packed one, one whose blocks are strange to each other, and two that do not fit."""
    place = tmp_path_factory.mktemp("made")
    shutil.copytree(llama_folder, place / "same")
    decoder = load(str(llama_folder))
    apply(GPTQ(4, PerGroup(8)), decoder.blocks, forward=decoder.hidden, batches=[torch.arange(60).view(2, 30)])
    save_packed(decoder.model, decoder.tokenizer, place / "packed", grids=grids_of(decoder.model), changing_inputs=[])
    noisy = load(str(llama_folder))
    noisy.model.get_input_embeddings().weight.normal_(generator=torch.Generator().manual_seed(0))
    noisy.model.save_pretrained(place / "noisy")
    noisy.tokenizer.save_pretrained(place / "noisy")
    shutil.copytree(llama_folder, place / "other-tokens")
    tokenizer = (place / "other-tokens" / "tokenizer.json").read_text()
    (place / "other-tokens" / "tokenizer.json").write_text(tokenizer.replace('"w7"', '"different"'))
    return place


@pytest.fixture(scope="module")
def judged(made, llama_folder, text_file, tmp_path_factory):
    """One call over all of them, and the folder that it wrote to."""
    place = tmp_path_factory.mktemp("sheets")
    options = ["--text", text_file, "--report-dir", place, "--compressed", f"{made}/*", made / "absent"]
    return suite("--effort=quick", "--dense", llama_folder, *options), place


def one(llama_folder, text_file, place, *options):
    return suite("--effort=quick", "--dense", llama_folder, "--text", text_file, "--report-dir", place, *options)


def test_one_that_fails_or_does_not_open_fails_the_run_and_the_others_are_judged(judged):
    done, place = judged
    assert done.returncode == pytest.ExitCode.TESTS_FAILED and "Traceback" not in done.stdout, done.stdout
    outcomes = {
        sheet["label"]: sheet["outcome"] for sheet in json.loads((place / "checkpoint.json").read_text())["checkpoints"]
    }
    assert outcomes == {
        "same": "cleared",
        "packed": "cleared",
        "noisy": "not cleared",
        "other-tokens": "not opened",
        "absent": "not opened",
    }


def test_the_json_is_as_its_schema_says(judged):
    content = json.loads((judged[1] / "checkpoint.json").read_text())
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(content)
    assert content["outcome"] == "not opened"


def test_pages_and_json_come_from_the_evidence_alone(judged):
    files = {path.name: path.read_bytes() for path in judged[1].glob("*.*") if path.suffix in {".md", ".json", ".png"}}
    write.write(judged[1])
    assert files and {name: (judged[1] / name).read_bytes() for name in files} == files


def test_the_dense_model_is_read_once(judged):
    variants = read(judged[1]).variants
    assert len(variants) == 3, "one a checkpoint that opened, and nothing of the dense model by itself"


def test_the_sheet_names_sizes_words_and_the_worst_tokens(judged, made):
    content = json.loads((judged[1] / "checkpoint.json").read_text())
    packed = next(sheet for sheet in content["checkpoints"] if sheet["label"] == "packed")
    assert packed["sizes"]["bytes on disk"] == weight_bytes(str(made / "packed"))
    assert packed["grade"].startswith("as good as") and len(packed["worst"]) == 10
    assert [token["kl"] for token in packed["worst"]] == sorted((t["kl"] for t in packed["worst"]), reverse=True)
    page = (judged[1] / "README.md").read_text()
    for said in ("99.9 % percentile of KL", "bytes on disk", "Tokens whose predictions differ most", "not opened"):
        assert said in page


def test_an_identical_checkpoint_clears_everything(llama_folder, text_file, tmp_path):
    done = one(llama_folder, text_file, tmp_path, "--compressed", llama_folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_open_threshold_has_an_exit_status_of_its_own(llama_folder, text_file, made, tmp_path):
    known = one(llama_folder, text_file, tmp_path, "--compressed", made / "packed")
    assert known.returncode == 0
    ratio = next(row for name, row in read(tmp_path).rows.items() if name.endswith("-ratio"))
    within = ["--max-kl", (ratio.value + ratio.high) / 2]
    kl = next(row for name, row in read(tmp_path).rows.items() if name.endswith("-kl"))
    within = ["--max-kl", f"{(kl.value + kl.high) / 2:.9g}"]
    done = one(llama_folder, text_file, tmp_path, "--compressed", made / "packed", "--resume", *within)
    assert done.returncode == 6 and "undecided" in done.stdout, done.stdout + done.stderr
    assert "would decide" in (tmp_path / "checkpoint.json").read_text()


def test_a_checkpoint_that_failed_fails_again(llama_folder, text_file, made, tmp_path):
    for _ in range(2):
        done = one(llama_folder, text_file, tmp_path, "--compressed", made / "noisy")
        assert done.returncode == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    "options, words",
    [
        (["--compressed", "absent-*"], "matches no file or folder"),
        (["--max-ratio=0.9", "--compressed", "."], "--max-ratio is 0.9; give a number above 1"),
        (["--max-kl=0", "--compressed", "."], "--max-kl is 0; give a number above 0"),
        (["--min-top1=1.5", "--compressed", "."], "--min-top1 is 1.5; give a number above 0 and at most 1"),
        (["--min-top1=nan", "--compressed", "."], "--min-top1 is nan"),
        (["--max-kl=0.1"], "--max-kl is for checkpoints; give them with --compressed"),
    ],
)
def test_thresholds_that_say_nothing_are_refused(options, words):
    done = suite(*options)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR and words in done.stdout + done.stderr


@pytest.mark.parametrize(
    "points, expected",
    [
        ([(1, 1)], [0]),
        ([(1, 3), (2, 2), (3, 1)], [0, 1, 2]),
        ([(2, 2), (1, 3), (3, 2)], [1, 0]),
        ([(1, 1), (2, 2)], [0]),
        ([(1, 2), (1, 1)], [1]),
    ],
)
def test_the_front_is_what_nothing_is_below_and_left_of(points, expected):
    assert front(points) == expected
