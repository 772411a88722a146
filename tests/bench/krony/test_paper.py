"""The paper's scale, its whole path, on a tiny GPT-2 and local texts in the places of the hub's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.verdict.evidence import read
from models.gpt2 import GPT2Shape, build, every_other_layer, save_as_gpt2

ROOT = Path(__file__).parents[3]
WORDS = 60


def text(words, seed):
    generator = torch.Generator().manual_seed(seed)
    return " ".join(f"w{i}" for i in torch.randint(0, WORDS, (words,), generator=generator).tolist())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A model, its peer and a folder with everything the paper's scale reads."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("paper")
    shape = GPT2Shape(layers=2, width=12, heads=2, vocabulary=WORDS + 2, positions=1024)
    dense = build(shape, seed=0, initial_scale=0.1)
    words = {f"w{i}": i for i in range(WORDS)} | {"<|endoftext|>": WORDS, "<unk>": WORDS + 1}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<|endoftext|>")
    for name, model in (("gpt2", dense), ("distilgpt2", every_other_layer(dense))):
        save_as_gpt2(model, folder / name)
        fast.save_pretrained(folder / name)
    data = folder / "data"
    data.mkdir()
    for name in ("wikitext-103-v1-test.txt", "wikitext-2-v1-test.txt", "wikitext-2-raw-test.txt"):
        (data / name).write_text(f" = A = \n \n {text(1500, 1)} \n = B = \n \n {text(1400, 2)} \n", encoding="utf-8")
    (data / "openwebtext.jsonl").write_text(
        "\n".join(json.dumps({"text": text(900, seed)}) for seed in range(8)), encoding="utf-8"
    )
    (data / "lambada-openai-test.jsonl").write_text(
        "\n".join(json.dumps({"text": text(400, 50 + seed)}) for seed in range(6)), encoding="utf-8"
    )
    own = "\n<|endoftext|>\n".join(text(1200, 90 + seed) for seed in range(8))
    (folder / "documents.txt").write_text(own, encoding="utf-8")
    return folder


def run(world, *arguments):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "bench/krony/test_paper.py",
        "-p",
        "no:cacheprovider",
        "--scale=paper",
        "--effort=quick",
        "--device=cpu",
        "--contexts=4,8",
        f"--text={world / 'documents.txt'}",
        f"--report-dir={world / 'reports' / 'paper'}",
        f"--peer={world / 'distilgpt2'}",
        *arguments,
    ]
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )


def test_the_whole_path(world):
    done = run(world, f"--model={world / 'gpt2'}", f"--data-dir={world / 'data'}", "-k", "KP4 or INSTRUMENT")
    assert done.returncode in {0, 1}, done.stdout + done.stderr  # tiny models do not have the paper's perplexities
    assert "error" not in done.stdout.rsplit("\n", 2)[-2], done.stdout
    rows = read(world / "reports" / "paper").rows
    for name in ("dense", "peer", "81M"):
        for name_of_text in ("wikitext-103", "wikitext-2", "lambada"):
            row = rows[f"KP4-paper-{name}-{name_of_text}"]
            assert row.details["token"] > 1 and row.scale == "paper" and "mean of window means" in row.protocol
    assert "mean over tokens" in rows["INSTRUMENT-paper-gpt2-raw"].protocol
    assert rows["KP4-paper-peer-over-81M-wikitext-2"].documents >= 3
    assert rows["KP4-paper-81M-lambada"].details["parameters"] < rows["KP4-paper-dense-lambada"].details["parameters"]
    assert rows["KP4-paper-dense-wikitext-2"].details["lm_eval"]["word_perplexity"] > 1
    assert (world / "reports" / "paper" / "krony-pt.md").exists()
    steps = list((world / "reports" / "paper" / "measurements" / "training").glob("*/step-*"))
    assert [path.name for path in steps] == ["step-00000004"]


def test_missing_data_is_named(world):
    done = run(world, f"--model={world / 'gpt2'}", f"--data-dir={world / 'nowhere'}")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "--data-dir names" in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stdout + done.stderr
