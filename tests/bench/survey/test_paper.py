"""OPT-125M tables: the whole path on a tiny OPT and local texts; ratios under protocols."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import OPTConfig, OPTForCausalLM

from bench.checkpoint.protocols import PROTOCOLS, protocol_lines, ratio, scores
from bench.survey.paper import OPT
from bench.survey.settings import SurveySettings
from bench.verdict.evidence import read
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerRow
from compress.swap import compressed
from models.data.text import Document
from models.errors import InputError
from models.load import load
from tests.tiny_models import VOCABULARY, saved

ROOT = Path(__file__).parents[3]


def words(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return " ".join(f"w{i}" for i in torch.randint(0, VOCABULARY - 1, (count,), generator=generator).tolist())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A tiny OPT that reads 2,048 tokens, and a folder with everything the paper's scale reads."""
    folder = tmp_path_factory.mktemp("opt-paper")
    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        ffn_dim=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=2048,
        word_embed_proj_dim=16,
        init_std=0.3,
    )
    saved(OPTForCausalLM(config).eval(), folder / "opt")
    data = folder / "data"
    data.mkdir()
    (data / "wikitext-2-raw-test.txt").write_text(f" = A = \n \n {words(3000, 1)} \n{words(1400, 2)}\n")
    texts = [words(600, seed) for seed in range(10, 28)] + ["w1 w2"]
    (data / "c4-train.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    (folder / "documents.txt").write_text("\n<|endoftext|>\n".join(words(1200, 90 + seed) for seed in range(8)))
    return folder


def run(world, model, data):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "bench/survey/test_paper.py",
        "-p",
        "no:cacheprovider",
        "--scale=paper",
        "--effort=quick",
        "--device=cpu",
        "--contexts=4,8",
        f"--text={world / 'documents.txt'}",
        f"--model={model}",
        f"--data-dir={data}",
        f"--report-dir={world / 'reports' / 'paper'}",
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)


def test_the_whole_path(world):
    done = run(world, world / "opt", world / "data")
    assert done.returncode == 0 and "Error" not in done.stdout, done.stdout + done.stderr  # its numbers are others
    rows = read(world / "reports" / "paper").rows
    assert len(rows) == 7 and {row.verdict for row in rows.values()} == {"not reproduced"}
    row = rows["SV1-opt-gptq-w4"]
    assert "windows of 2048" in row.protocol and "16 x 512 tokens of C4" in row.protocol and row.scale == "paper"
    assert row.value == pytest.approx(row.details["token"] / 31.12)
    dense = rows["INSTRUMENT-opt-dense"].details["token"]
    assert len({round(r.details["token"], 4) for r in rows.values()}) == 7 and dense > 1
    assert (world / "reports" / "paper" / "survey.md").is_file()


def test_what_is_missing_is_named(world):
    done = run(world, world / "opt", world / "nowhere")
    told = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == pytest.ExitCode.USAGE_ERROR and "Traceback" not in told
    assert "--data-dir names" in told and "does not exist" in told


def test_refusals(world):
    llama = SimpleNamespace(config=SimpleNamespace(model_type="llama"))
    other = SimpleNamespace(decoder=SimpleNamespace(name="x", model=llama))
    with pytest.raises(InputError, match="x is no OPT"):
        OPT.of(other, SurveySettings(2, 8, 2, 8))
    settings = SimpleNamespace(data_dir=world / "data", seed=0)
    own = SimpleNamespace(settings=settings, decoder=load(str(world / "opt")))
    lab = OPT.of(own, SurveySettings(2, 8, 20, 512))
    with pytest.raises(InputError, match="18 documents of C4 have more than 512 tokens; calibration asks for 20"):
        _ = lab.calibration


def test_ratios_under_protocols_are_quotients_of_perplexities(world):
    decoder = load(str(world / "opt"))
    lab = SimpleNamespace(
        settings=SimpleNamespace(data_dir=None),
        decoder=decoder,
        documents=[
            Document("", " ".join(f"w{i % most}" for i in range(own))) for own, most in ((3000, 90), (2500, 80))
        ],
    )
    lines = protocol_lines(lab, 4300)
    assert sum(len(line.split()) for line in lines) == 4300 and len(lines) == 2
    dense = scores(decoder, lines)
    batches = [torch.arange(60).view(2, 30)]
    with compressed(GPTQ(3, PerRow()), decoder.blocks, forward=decoder.hidden, batches=batches):
        perplexities = scores(decoder, lines)
    assert dense.keys() == perplexities.keys() == PROTOCOLS.keys()
    for name, protocol in PROTOCOLS.items():
        one, other = perplexities[name], dense[name]
        assert ratio(one, other, protocol).value == pytest.approx(one.token / other.token, rel=1e-9), name
    assert dense["krony"].token != dense["huggingface"].token  # the tail is a shorter window
    short = scores(decoder, ["w1 w2 " * 300])
    assert all("one window" in reason or "no window" in reason for reason in short.values()), short
