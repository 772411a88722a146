"""Models that cannot be opened, that are not whole, or that do not go with one another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tests.bench.battery.files import put
from tests.bench.battery.running import CHECKPOINT, Case, cases

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
OPEN = ("cannot be opened by transformers", "correct its config.json, or write it again")
TYPE = ("says model type", "does not know; correct it")
PACKED = ("the quantization_config of", "not an object; write it again")
TORN = ("is damaged or cut short", "write it again")
TOKENS = ("the tokenizer of", "save that of its dense model beside its weights")
GGUF = ("is no whole GGUF file of a decoder", "copy, download or convert it again")
FIT = ("do not fit its configuration", "write it again with the program that made it")


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


def whole(own: dict[str, torch.Tensor]) -> None:
    own.update({name: value.to(torch.int8) for name, value in own.items()})


def pickled(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


def absent_shards(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "other.safetensors")
    index = {"metadata": {}, "weight_map": {"transformer.wte.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def torn_gguf() -> bytes:
    """A header that promises one tensor and one setting, which do not come."""
    return b"GGUF" + (3).to_bytes(4, "little") + 2 * (1).to_bytes(8, "little") + b"\x14\0\0\0\0\0\0\0general.arch"


def other_words(folder: Path) -> None:
    own = (folder / TOKENIZER).read_text()
    (folder / TOKENIZER).write_text(own.replace('"w5"', '"v5"'))


def a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("no folder")


TABLE = (
    Case("is-a-file", "", ("no model folder at", "give an existing folder, a .gguf file or a hub id"), a_file),
    Case(
        "empty", "", ("has no config.json", "what save_pretrained writes"), lambda f: [p.unlink() for p in f.iterdir()]
    ),
    Case("no-config", "", ("has no config.json", "what save_pretrained writes"), without(CONFIG)),
    Case("no-weights", "", ("has no *.safetensors weights", "what save_pretrained writes"), without(WEIGHTS)),
    Case("pickled", "", ("only pickled weights (pytorch_model.bin)", "safe_serialization=True"), pickled),
    Case("config-torn", "", ("config.json of", "is not JSON", "write it again"), cut(CONFIG, 0.5)),
    Case("config-empty", "", ("is not JSON", "write it again"), put(b"", CONFIG)),
    Case("config-bytes", "", ("config.json of", "write it again"), put(b"\xff\xfe\x00", CONFIG)),
    Case("config-list", "", ("holds a list, not an object", "write it again"), put("[]", CONFIG)),
    Case("config-bare", "", TYPE, put("{}", CONFIG)),
    Case("config-no-type", "", TYPE, settings(model_type=None)),
    Case("config-type-unknown", "", TYPE, settings(model_type="perpetuum")),
    Case("config-type-number", "", TYPE, settings(model_type=7)),
    Case("config-encoder", "", ("which is no decoder", "give a causal language model"), settings(model_type="mpnet")),
    Case(
        "config-encoder-decoder", "", ("which is no decoder", "give a causal language model"), settings(model_type="t5")
    ),
    Case(
        "config-remote-code",
        "",
        ("is never run here", "give a model whose architecture"),
        settings(model_type="own", auto_map={"AutoModelForCausalLM": "own.Model"}),
    ),
    Case("config-width-words", "", OPEN, settings(n_embd="wide")),
    Case("config-width-zero", "", OPEN, settings(n_embd=0)),
    Case("config-width-other", "", FIT, settings(n_embd=32)),
    Case("config-heads-other", "", OPEN, settings(n_head=7)),
    Case("config-heads-zero", "", OPEN, settings(n_head=0)),
    Case("config-layers-negative", "", FIT, settings(n_layer=-1)),
    Case("config-layers-zero", "", FIT, settings(n_layer=0)),
    Case("config-layers-fewer", "", FIT, settings(n_layer=2)),
    Case("config-layers-more", "", FIT, settings(n_layer=4)),
    Case("config-vocabulary-other", "", FIT, settings(vocab_size=96)),
    Case("config-positions-words", "", OPEN, settings(n_positions="many")),
    Case("config-activation-unknown", "", OPEN, settings(activation_function="snake")),
    Case("config-dtype-unknown", "", TOKENS, settings(dtype="float3", torch_dtype="float3")),
    Case(
        "config-quantized-by-unknown",
        "",
        ("is packed in the format 'alchemy'", "save it with its weights at full width"),
        settings(quantization_config={"quant_method": "alchemy"}),
    ),
    Case("config-quantized-by-list", "", PACKED, settings(quantization_config=[1])),
    Case("config-quantized-by-words", "", PACKED, settings(quantization_config="int4")),
    Case("weights-torn", "", TORN, cut(WEIGHTS, 0.6)),
    Case("weights-header-torn", "", TORN, cut(WEIGHTS, 0.001)),
    Case("weights-empty", "", TORN, put(b"", WEIGHTS)),
    Case("weights-of-other-bytes", "", TORN, put(bytes(range(256)) * 40, WEIGHTS)),
    Case("weights-huge-header", "", TORN, put(b"\xff" * 64, WEIGHTS)),
    Case("weights-none", "", FIT, weights(dict.clear)),
    Case("weights-nan", "", ("2 of", "are NaN or infinite", "damaged"), weights(fill(float("nan")))),
    Case("weights-infinite", "", ("2 of", "are NaN or infinite", "damaged"), weights(fill(float("inf")))),
    Case("weights-missing", "", ("it lacks", *FIT), weights(lambda own: own.pop("transformer.h.1.ln_1.weight"))),
    Case("weights-unexpected", "", ("has no", *FIT), weights(lambda own: own.update(extra=torch.ones(2)))),
    Case("weights-of-integers", "", ("holds integers where weights belong", "write it again"), weights(whole)),
    Case(
        "index-of-absent-shards",
        "",
        ("lacks 1 of the 1 files that hold its weights", "write them again"),
        absent_shards,
    ),
    Case(
        "no-tokenizer",
        "",
        ("has no tokenizer", *TOKENS[1:]),
        without(TOKENIZER, "tokenizer_config.json"),
    ),
    Case("tokenizer-torn", "", TOKENS, cut(TOKENIZER, 0.5)),
    Case("tokenizer-empty", "", TOKENS, put(b"", TOKENIZER)),
    Case("tokenizer-list", "", TOKENS, put("[]", TOKENIZER)),
    Case("tokenizer-config-torn", "", TOKENS, cut("tokenizer_config.json", 0.5)),
)


@cases(*TABLE)
def test_a_model_that_cannot_be_used_is_one_sentence(suite, case):
    folder = suite.here / "model"
    shutil.copytree(suite.model, folder)
    case.lay(folder)
    suite.bench(f"--model={folder}").check(case.words)
    assert not suite.out.exists()


HUB = ("check the spelling and the network", "which needs no hub")
PLACES = (
    Case("gguf-absent", "--model={here}/a.gguf", ("no GGUF file at", "give an existing file, a folder or a hub id")),
    Case("gguf-folder", "--model={here}/a.gguf", ("no GGUF file at",), lambda here: (here / "a.gguf").mkdir()),
    Case("gguf-empty", "--model={here}/a.gguf", GGUF, put(b"", "a.gguf")),
    Case(
        "gguf-words",
        "--model={here}/a.gguf",
        GGUF,
        put("not a model", "a.gguf"),
    ),
    Case(
        "gguf-header",
        "--model={here}/a.gguf",
        GGUF,
        put(b"GGUF\x03\0\0\0", "a.gguf"),
    ),
    Case(
        "gguf-torn",
        "--model={here}/a.gguf",
        GGUF,
        put(torn_gguf(), "a.gguf"),
    ),
    Case(
        "gguf-bytes",
        "--model={here}/a.gguf",
        GGUF,
        put(b"GGUF" + b"\xff" * 99, "a.gguf"),
    ),
    Case("folder-absent", "--model={here}/none", ("no model folder at", "give an existing folder")),
    Case("folder-absent-here", "--model=./none", ("no model folder at ./none", "give an existing folder")),
    Case("home-absent", "--model=~/none-of-these", ("no model folder at ~/none", "give an existing folder")),
    Case("hub-absent", "--model=nobody/nothing", ("no model 'nobody/nothing'", *HUB)),
    Case("hub-alone", "--model=nothing-of-the-kind", ("no model 'nothing-of-the-kind'", *HUB)),
    Case("hub-no-name", "--model=a--b..c", ("no model 'a--b..c'", *HUB)),
    Case("hub-slashes", "--model=a/b/c", ("no model folder at a/b/c", "give an existing folder")),
)


@cases(*PLACES)
def test_a_place_without_a_model_is_one_sentence(suite, case):
    if case.lay:
        case.lay(suite.here)
    suite.bench(case.arguments).check(case.words)
    assert not suite.out.exists()


PAIRS = (
    Case("absent", "--compressed={here}/none", ("no model folder at", "give an existing folder")),
    Case("dense-absent", "--dense={here}/none --compressed={here}/model", ("no model folder at", "give an existing")),
    Case("weights-torn", "--compressed={here}/model", TORN, cut(WEIGHTS, 0.6)),
    Case("weights-nan", "--compressed={here}/model", ("are NaN or infinite", "damaged"), weights(fill(float("nan")))),
    Case("layers-missing", "--compressed={here}/model", FIT, settings(n_layer=4)),
    Case("other-tokens", "--compressed={here}/model", ("97 tokens", "means nothing"), other_words),
)


@cases(*PAIRS)
def test_a_checkpoint_that_cannot_be_judged_is_one_sentence(suite, case):
    folder = suite.here / "model"
    shutil.copytree(suite.model, folder)
    if case.lay:
        case.lay(folder)
    suite.bench(case.arguments, CHECKPOINT).check(case.words)
    if "dense" in case.arguments:
        assert not suite.out.exists()
        return
    (sheet,) = json.loads((suite.out / "checkpoint.json").read_text())["checkpoints"]
    assert sheet["outcome"] == "not opened" and all(word.lower() in sheet["reason"].lower() for word in case.words)
