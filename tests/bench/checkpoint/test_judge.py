"""Any checkpoint against its dense model: what the user types, and what is refused."""

import json
import shutil
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from bench.checkpoint.judge import Judged, check_same_tokens, edges, held_bytes
from bench.measure.divergence import compare
from bench.verdict.evidence import read
from compress.layers import grids_of
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerGroup
from compress.swap import apply
from models.errors import InputError
from models.load import load
from models.save import save_packed
from models.sources import weight_bytes
from tests.bench.sessions import suite


@pytest.fixture(scope="module")
def packed_folder(llama_folder, tmp_path_factory):
    decoder = load(str(llama_folder))
    apply(GPTQ(4, PerGroup(8)), decoder.blocks, forward=decoder.hidden, batches=[torch.arange(60).view(2, 30)])
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-gptq"
    save_packed(decoder.model, decoder.tokenizer, folder, grids=grids_of(decoder.model), changing_inputs=[])
    return folder


def judge(*arguments):
    return suite("--effort=quick", *arguments)


def test_the_sheet_of_a_packed_checkpoint(llama_folder, packed_folder, text_file, tmp_path):
    place = tmp_path / "reports" / "tiny"
    options = ["--text", text_file, "--contexts", "4,8", "--report-dir", place]
    done = judge("--dense", llama_folder, "--compressed", packed_folder, *options)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    lines = [json.loads(line) for line in (place / "evidence.jsonl").read_text().splitlines()]
    rows = {line["row"]: line for line in lines if line["kind"] == "row"}
    assert {row["claim"] for row in rows.values()} == {"CHECKPOINT"} and len(rows) == 7
    under = [row for name, row in rows.items() if name.endswith("-protocol")]
    assert len(under) == 3 and all("tokens at once" in row["reason"] for row in under), "the model reads too few"
    details = rows["CHECKPOINT-loses-nothing"]["details"]["checkpoint"]
    assert details["sizes"]["bytes on disk"] == weight_bytes(str(packed_folder))
    assert 0 < details["columns"]["mean KL compressed‖dense"] < 0.1
    assert 0.5 < details["columns"]["same top token"] <= 1
    page = (place / "checkpoint.md").read_text()
    assert "99.9 % percentile of KL" in page and "bytes on disk" in page


def test_what_cannot_be_compared_is_refused(llama_folder, tmp_path, text_file):
    other = tmp_path / "other"
    shutil.copytree(llama_folder, other)
    tokenizer = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(tokenizer.replace('"w7"', '"different"'))
    done = judge("--dense", llama_folder, "--compressed", other, "--text", text_file, "--contexts", "4,8")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "they differ" in done.stdout + done.stderr and "different" in done.stdout + done.stderr


def test_other_output_sizes_are_refused():
    tokenizer = SimpleNamespace(get_vocab=lambda: {"a": 0})
    first, second = (SimpleNamespace(name=str(n), tokenizer=tokenizer, head=nn.Linear(2, n)) for n in (3, 4))
    with pytest.raises(InputError, match="predicts 3 tokens"):
        check_same_tokens(first, second)


def test_two_heads_are_each_models_own():
    generator = torch.Generator().manual_seed(0)
    heads = [nn.Linear(6, 11, bias=False) for _ in range(2)]
    hidden = torch.randn(2, 5, 6, generator=generator)
    labels = torch.randint(11, (5,), generator=generator)
    divergence = compare(heads[0], hidden[0], hidden[1], labels, dense_head=heads[1])
    log_p, log_q = (head(h).detach().double().log_softmax(-1) for head, h in zip(heads, hidden, strict=True))
    torch.testing.assert_close(divergence.kl.double(), (log_p.exp() * (log_p - log_q)).sum(-1), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        divergence.dense_loss.double(), -log_q.gather(1, labels[:, None])[:, 0], rtol=1e-5, atol=1e-6
    )


def test_columns_are_their_names():
    generator = np.random.default_rng(0)
    names = ("kl", "reverse_kl", "agreement", "loss", "dense_loss")
    tokens = {name: generator.random((3, 127)) for name in names}
    judged = Judged(tokens, edges(127))
    assert judged.edges == (32, 64, 127)
    assert judged.by_position().shape == (3, 2)
    np.testing.assert_allclose(judged.by_position()[:, 1], tokens["kl"][:, 64:127].mean(1))
    change = np.exp(-tokens["loss"]) - np.exp(-tokens["dense_loss"])
    columns = judged.columns()
    assert columns["RMS change of p(right)"] == pytest.approx(np.sqrt((change**2).mean()))
    assert columns["99 % percentile of KL"] == pytest.approx(np.percentile(tokens["kl"], 99))
    assert judged.ratio().value == pytest.approx(np.exp(tokens["loss"].mean() - tokens["dense_loss"].mean()))


@pytest.mark.parametrize(
    "positions, expected",
    [(40, (0, 20, 40)), (95, (0, 47, 95)), (96, (32, 64, 96)), (130, (32, 64, 130)), (511, (32, 64, 128, 256, 511))],
)
def test_edges(positions, expected):
    assert edges(positions) == expected


@pytest.mark.parametrize("positions", range(2, 700, 7))
def test_there_are_always_two_buckets_with_something_in_them(positions):
    starts = edges(positions)
    assert len(starts) >= 3 and starts[-1] == positions and all(a < b for a, b in pairwise(starts))


def test_tied_weights_are_held_once():
    first = nn.Linear(4, 4, bias=False)
    model = nn.ModuleList([first, nn.Linear(4, 4, bias=False)])
    model[1].weight = first.weight
    assert held_bytes(model) == 64


def test_an_identical_checkpoint_loses_nothing_and_its_divergence_does_not_grow(llama_folder, text_file, tmp_path):
    place = tmp_path / "reports" / "same"
    options = ["--text", text_file, "--contexts", "4,8", "--report-dir", place]
    done = judge("--dense", llama_folder, "--compressed", llama_folder, *options)
    assert done.returncode == 0 and "Traceback" not in done.stdout, done.stdout + done.stderr
    rows = read(place).rows
    assert (rows["CHECKPOINT-same-at-any-context"].value, rows["CHECKPOINT-loses-nothing"].value) == (1.0, 1.0)
