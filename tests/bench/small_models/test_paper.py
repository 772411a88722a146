"""The paper's scale of the small models, its whole path by the suite's own command, on local C4 and MNLI."""

import json

import pytest
import torch

from bench.verdict.evidence import read
from tests.bench.sessions import suite


def sentence(seed, words=9):
    generator = torch.Generator().manual_seed(seed)
    letters = torch.randint(97, 123, (words, 6), generator=generator)
    return " ".join("".join(map(chr, word)) for word in letters.tolist()).capitalize() + "."


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    texts = [" ".join(sentence(100 * row + n) for n in range(30)) for row in range(6)]
    (folder / "c4.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    for name, start in (("train", 0), ("mismatched", 500)):
        pairs = [{"premise": sentence(start + i, 5), "hypothesis": sentence(i, 3), "label": i % 3} for i in range(24)]
        (folder / f"mnli-{name}.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    return folder


def run(model, text, folder, place):
    options = ["--scale=paper", "--effort=quick", "--device=cpu", f"--data-dir={folder}", f"--report-dir={place}"]
    options += [f"--model={model}", f"--text={text}", "--contexts=4,8", "-k", "SL2 or SL7-spread-tiny"]
    environment = {"HF_DATASETS_OFFLINE": "1"}
    return suite(*options, env=environment, places=["bench/small_models"])


def test_the_whole_path(llama_folder, text_file, data, tmp_path):
    done = run(llama_folder, text_file, data, tmp_path / "paper")
    assert done.returncode in {0, 1} and "Error" not in done.stdout, done.stdout + done.stderr
    rows = read(tmp_path / "paper").rows
    assert {"SL2-skip", "SL2-skip-encoder", "SL2-parameters", "SL7-spread-tiny"} <= set(rows)
    trained = rows["SL2-skip"]
    assert trained.scale == "paper" and "MNLI, mismatched" in trained.protocol and trained.verdict != "not run"
    assert (tmp_path / "paper" / "small-models.md").is_file()


def test_missing_data_is_named(llama_folder, text_file, tmp_path):
    done = run(llama_folder, text_file, tmp_path / "nowhere", tmp_path / "paper")
    told = " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in told and done.returncode == pytest.ExitCode.USAGE_ERROR, told
    assert "--data-dir names" in told and "does not exist" in told
    (tmp_path / "empty").mkdir()
    done = run(llama_folder, text_file, tmp_path / "empty", tmp_path / "paper")
    told = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == pytest.ExitCode.TESTS_FAILED and "--data-dir must hold it" in told, told
    assert "Traceback" not in told and "SL2-skip" not in read(tmp_path / "paper").rows
