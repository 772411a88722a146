"""A checkpoint that fails, fails again: its own evidence is no record that it is held against."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from bench.verdict.evidence import read
from tests.bench.battery.running import CHECKPOINT
from tests.tiny_models import VOCABULARY, saved

ROW = "CHECKPOINT-spoilt-ratio"


@pytest.fixture
def models(tmp_path):
    """A small dense model, and the same with logits two hundred times as large."""
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=512, n_embd=24, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    dense, spoilt = saved(GPT2LMHeadModel(config), tmp_path / "dense"), tmp_path / "spoilt"
    shutil.copytree(dense, spoilt)
    weights = load_file(spoilt / "model.safetensors")
    weights["transformer.ln_f.weight"] *= 200
    save_file(weights, spoilt / "model.safetensors", {"format": "pt"})
    return dense, spoilt


@pytest.fixture
def long_text(tmp_path):
    draw = torch.Generator().manual_seed(2)
    texts = [torch.randint(0, VOCABULARY - 1, (520,), generator=draw).tolist() for _ in range(24)]
    path = tmp_path / "text.txt"
    path.write_text("\n<|endoftext|>\n".join(" ".join(f"w{i}" for i in text) for text in texts))
    return path


def test_a_checkpoint_that_failed_does_not_pass_the_second_time(suite, models, long_text):
    dense, spoilt = models
    options = f"--dense={dense} --compressed={spoilt} --text={long_text} --effort=normal -k ratio"
    assert suite.bench(options, CHECKPOINT).status == pytest.ExitCode.TESTS_FAILED
    assert read(suite.out).rows[ROW].verdict == "not reproduced"
    shutil.copytree(suite.out, suite.root / "reports" / "spoilt")  # as if it had been put on record
    for again in (options, f"{options} --resume"):
        assert suite.bench(again, CHECKPOINT).status == pytest.ExitCode.TESTS_FAILED
    assert len(read(suite.out).rows) == 1
