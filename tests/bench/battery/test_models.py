"""Models that cannot be opened, that are not whole, or that do not go with one another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.bench.battery.running import Case, cases
from tests.bench.sessions import ROOT

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
OPEN = ("is not a causal language model that transformers can open",)
FIT = ("do not fit its config.json", "write it again with save_pretrained")


def put(name: str, content: bytes | str) -> Callable[[Path], object]:
    """Way to put another file in the place of one of the folder's."""
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def without(*names: str) -> Callable[[Path], object]:
    return lambda folder: [(folder / name).unlink() for name in names]


def cut(name: str, share: float) -> Callable[[Path], object]:
    """Way to leave the first part of a file only."""

    def lay(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(share * len(content))])

    return lay


def settings(**changes: object) -> Callable[[Path], object]:
    """Way to write another configuration; None takes a setting out."""

    def lay(folder: Path) -> None:
        own = json.loads((folder / CONFIG).read_text()) | changes
        (folder / CONFIG).write_text(json.dumps({name: value for name, value in own.items() if value is not None}))

    return lay


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], object]:
    """Way to write other weights."""

    def lay(folder: Path) -> None:
        own = load_file(folder / WEIGHTS)
        change(own)
        save_file(own, folder / WEIGHTS, {"format": "pt"})

    return lay


def fill(value: float) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda own: own["transformer.h.0.mlp.c_fc.weight"].view(-1)[3:5].fill_(value)


def pickled(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


def a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("no folder")


TABLE = (
    Case("is-a-file", "", ("no model folder at", "give an existing folder, a .gguf file or a hub id"), a_file),
    Case("empty", "", ("has no config.json", "what save_pretrained writes"), lambda f: [p.unlink() for p in f.iterdir()]),
    Case("no-config", "", ("has no config.json", "what save_pretrained writes"), without(CONFIG)),
    Case("no-weights", "", ("has no *.safetensors weights", "what save_pretrained writes"), without(WEIGHTS)),
    Case("pickled", "", ("only pickled weights (pytorch_model.bin)", "safe_serialization=True"), pickled),
    Case("config-torn", "", ("config.json of", "is not JSON", "write it again"), cut(CONFIG, 0.5)),
    Case("config-empty", "", ("is not JSON", "write it again"), put(CONFIG, b"")),
    Case("config-bytes", "", ("config.json of", "write it again"), put(CONFIG, b"\xff\xfe\x00")),
    Case("config-list", "", ("holds a list, not an object", "write it again"), put(CONFIG, "[]")),
    Case("config-bare", "", OPEN, put(CONFIG, "{}")),
    Case("config-no-type", "", OPEN, settings(model_type=None)),
    Case("config-type-unknown", "", OPEN, settings(model_type="perpetuum")),
    Case("config-type-number", "", OPEN, settings(model_type=7)),
    Case("config-encoder", "", OPEN, settings(model_type="mpnet")),
    Case("config-encoder-decoder", "", OPEN, settings(model_type="t5")),
    Case("config-remote-code", "", OPEN, settings(model_type="own", auto_map={"AutoModelForCausalLM": "own.Model"})),
    Case("config-width-words", "", OPEN, settings(n_embd="wide")),
    Case("config-width-zero", "", OPEN, settings(n_embd=0)),
    Case("config-width-other", "", FIT, settings(n_embd=32)),
    Case("config-heads-other", "", OPEN, settings(n_head=7)),
    Case("config-heads-zero", "", OPEN, settings(n_head=0)),
    Case("config-layers-negative", "", (), settings(n_layer=-1)),
    Case("config-layers-zero", "", (), settings(n_layer=0)),
    Case("config-layers-fewer", "", FIT, settings(n_layer=2)),
    Case("config-layers-more", "", FIT, settings(n_layer=4)),
    Case("config-vocabulary-other", "", FIT, settings(vocab_size=96)),
    Case("config-positions-words", "", (), settings(n_positions="many")),
    Case("config-activation-unknown", "", OPEN, settings(activation_function="snake")),
    Case("config-dtype-unknown", "", (), settings(dtype="float3", torch_dtype="float3")),
    Case("config-quantized-by-unknown", "", (), settings(quantization_config={"quant_method": "alchemy"})),
    Case("config-quantized-by-list", "", (), settings(quantization_config=[1])),
    Case("config-quantized-by-words", "", (), settings(quantization_config="int4")),
    Case("weights-torn", "", OPEN, cut(WEIGHTS, 0.6)),
    Case("weights-header-torn", "", OPEN, cut(WEIGHTS, 0.001)),
    Case("weights-empty", "", OPEN, put(WEIGHTS, b"")),
    Case("weights-of-other-bytes", "", OPEN, put(WEIGHTS, bytes(range(256)) * 40)),
    Case("weights-huge-header", "", OPEN, put(WEIGHTS, b"\xff" * 64)),
    Case("weights-none", "", FIT, weights(dict.clear)),
    Case("weights-nan", "", ("2 of", "are NaN or infinite", "damaged"), weights(fill(float("nan")))),
    Case("weights-infinite", "", ("2 of", "are NaN or infinite", "damaged"), weights(fill(float("inf")))),
    Case("weights-missing", "", ("it lacks", *FIT), weights(lambda own: own.pop("transformer.h.1.ln_1.weight"))),
    Case("weights-unexpected", "", ("has no", *FIT), weights(lambda own: own.update(extra=torch.ones(2)))),
    Case("weights-of-integers", "", (), weights(lambda own: own.update({k: v.to(torch.int8) for k, v in own.items()}))),
    Case("index-of-absent-shards", "", (), lambda f: (without(WEIGHTS)(f), put("model.safetensors.index.json", '{"weight_map": {"a": "b.safetensors"}}')(f), put("c.safetensors", b"")(f))),
    Case("no-tokenizer", "", (), without(TOKENIZER, "tokenizer_config.json")),
    Case("tokenizer-torn", "", (), cut(TOKENIZER, 0.5)),
    Case("tokenizer-empty", "", (), put(TOKENIZER, b"")),
    Case("tokenizer-list", "", (), put(TOKENIZER, "[]")),
    Case("tokenizer-config-torn", "", (), cut("tokenizer_config.json", 0.5)),
    Case("generation-config-torn", "", (), put("generation_config.json", "{")),
)


@cases(*TABLE)
def test_a_model_that_cannot_be_used_is_one_sentence(suite, case):
    folder = suite.here / "model"
    shutil.copytree(suite.model, folder)
    case.lay(folder)
    said = suite.bench(f"--model={folder}")
    print(said.text[-700:])
    said.check(case.words)
    assert not suite.out.exists()
