"""Checkpoints that other toolkits wrote: `pip install -e '.[formats]'`, then `pytest tests -m slow`."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from models.load import load
from models.sources import weight_bytes
from tests.bench.sessions import suite
from tests.foreign import small_llama
from tests.tiny_models import saved

pytestmark = pytest.mark.slow
TOKENS = torch.arange(40).view(2, 20)
FORMATS = {
    "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.float32},
    "int8": {"load_in_8bit": True},
}


@pytest.fixture(scope="module")
def dense_folder(tmp_path_factory):
    """Wide enough for bitsandbytes, whose blocks are of 64 weights."""
    return saved(small_llama(), tmp_path_factory.mktemp("dense"))


@pytest.fixture(scope="module", params=FORMATS)
def foreign_folder(request, dense_folder, tmp_path_factory):
    pytest.importorskip("bitsandbytes", reason="pip install -e '.[formats]'")
    model = AutoModelForCausalLM.from_pretrained(
        dense_folder,
        quantization_config=BitsAndBytesConfig(**FORMATS[request.param]),
        device_map="cpu",
        dtype=torch.float32,
    )
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(dense_folder).save_pretrained(folder)
    with torch.no_grad():
        torch.save(model(input_ids=TOKENS).logits, folder / "expected.pt")
    return folder


def test_it_opens_with_its_own_weights(dense_folder, foreign_folder):
    opened = load(str(foreign_folder))
    expected = torch.load(foreign_folder / "expected.pt", weights_only=True)
    torch.testing.assert_close(
        opened.head(opened.hidden(TOKENS)), expected, rtol=1e-5, atol=1e-6
    )  # one kernel's rounding
    assert weight_bytes(str(foreign_folder)) < weight_bytes(str(dense_folder))


def test_its_verdict_sheet(dense_folder, foreign_folder, text_file, tmp_path):
    options = ["--text", text_file, "--report-dir", tmp_path, "--protocols"]
    done = suite("--effort=quick", "--dense", dense_folder, "--compressed", foreign_folder, *options)
    assert done.returncode in {0, 1, 6}, done.stdout + done.stderr
    (sheet,) = json.loads((tmp_path / "checkpoint.json").read_text())["checkpoints"]
    rows = {row["row"].removeprefix(f"CHECKPOINT-{sheet['label']}-") for row in sheet["thresholds"]}
    assert {"ratio", "kl", "krony-protocol", "huggingface-protocol", "gptq-protocol"} <= rows
    assert 0 < sheet["measures"]["kl"]["value"] < 0.1
    assert sheet["sizes"]["bytes in memory"] < sheet["sizes"]["bytes in memory, dense"]
