"""What is opened is what the file holds; damage, gaps and foreign formats are refused by name, in one sentence."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.errors import InputError
from models.formats import FORMATS
from models.load import load

EMBEDDING = "model.embed_tokens.weight"


@pytest.fixture
def copied(tmp_path, llama_folder):
    return shutil.copytree(llama_folder, tmp_path / "copied")


def with_weights(folder, change):
    """The folder with other weights."""
    file = folder / "model.safetensors"
    weights = {key: value.contiguous().clone() for key, value in change(load_file(file)).items()}
    save_file(weights, file, metadata={"format": "pt"})
    return folder


def with_config(folder, **changes):
    """The folder with other settings; None takes one out."""
    file = folder / "config.json"
    config = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return folder


def refusal(folder):
    """The sentence that a folder is refused with."""
    with pytest.raises(InputError) as refused:
        load(str(folder))
    sentence = str(refused.value)
    assert "\n" not in sentence and str(folder) in sentence
    return sentence


def without(*parts):
    return lambda weights: {key: value for key, value in weights.items() if not any(part in key for part in parts)}


def test_three_missing_weights_are_named_and_the_others_counted(copied):
    sentence = refusal(with_weights(copied, without("layers.1.")))
    layer = "model.layers.1"
    names = f"{layer}.input_layernorm.weight, {layer}.mlp.down_proj.weight, {layer}.mlp.gate_proj.weight and 6 more;"
    assert f"it lacks {names}" in sentence


def test_a_missing_head_that_is_not_tied_is_named(copied):
    assert "it lacks lm_head.weight;" in refusal(with_config(copied, tie_word_embeddings=False))


def test_unexpected_weights_are_named(copied):
    assert "has no model.layers.2.input_layernorm.weight, " in refusal(with_config(copied, num_hidden_layers=2))


def test_wrong_shapes_are_named_with_both_sizes(copied):
    sentence = refusal(with_config(copied, intermediate_size=48))
    assert "model.layers.0.mlp.down_proj.weight is 24 x 40 and the configuration says 24 x 48, " in sentence
    assert "and 6 more" in sentence and "lacks" not in sentence


@pytest.mark.parametrize("kind", ["llama_folder", "opt_folder", "gpt2_folder"])
def test_a_broken_tie_names_both_weights(kind, request, tmp_path):
    folder = shutil.copytree(request.getfixturevalue(kind), tmp_path / "copied")
    (embedding,) = (key for key in load_file(folder / "model.safetensors") if "embed_tokens" in key or "wte" in key)
    sentence = refusal(with_weights(folder, lambda weights: weights | {"lm_head.weight": 2 * weights[embedding]}))
    assert f"ties lm_head.weight to {embedding}" in sentence


def test_what_may_be_absent_or_too_many_is_not_refused(copied, tokens):
    expected = load(str(copied)).hidden(tokens)
    old = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(3), "model.layers.0.masked_bias": torch.ones(1)}
    folder = with_weights(copied, lambda weights: weights | old | {"lm_head.weight": weights[EMBEDDING]})
    torch.testing.assert_close(load(str(folder)).hidden(tokens), expected, rtol=0, atol=0)


def test_the_head_alone_stands_for_the_embedding_that_is_tied_to_it(copied, tokens):
    expected = load(str(copied)).hidden(tokens)
    renamed = with_weights(
        copied, lambda weights: {key.replace(EMBEDDING, "lm_head.weight"): v for key, v in weights.items()}
    )
    torch.testing.assert_close(load(str(renamed)).hidden(tokens), expected, rtol=0, atol=0)


def test_weights_that_are_not_finite_are_named(copied):
    folder = with_weights(copied, lambda w: w | {"model.norm.weight": w["model.norm.weight"] * float("nan")})
    assert "24 of 24 values of model.norm.weight are NaN" in refusal(folder)


@pytest.mark.parametrize("left", [0, 4, 100, 30_000, -1])
def test_a_file_that_was_cut_short_is_named(copied, left):
    file = copied / "model.safetensors"
    file.write_bytes(file.read_bytes()[:left])
    assert "model.safetensors of" in (sentence := refusal(copied)) and "cut short" in sentence


@pytest.mark.parametrize("text", ["[]", "{nope", "null", "", "\udcff"])
def test_a_configuration_that_is_no_object_is_refused(copied, text):
    (copied / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert refusal(copied).startswith("the config.json of")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "nothing_known"}, "model type 'nothing_known', which transformers"),
        ({"model_type": None}, "model type None"),
        ({"model_type": "t5"}, "no decoder"),
        ({"model_type": "new", "auto_map": {"AutoModelForCausalLM": "new.New"}}, "code that comes with it"),
        ({"hidden_size": "many"}, "expected int"),
        ({"hidden_size": -4}, "cannot be opened"),
        ({"quantization_config": []}, "quantization_config of"),
        ({"quantization_config": {"bits": 4}}, "the format None"),
        ({"quantization_config": {"quant_method": "exl2"}}, "the format 'exl2', which transformers"),
    ],
)
def test_a_configuration_that_cannot_be_followed_is_refused(copied, changes, said):
    assert said in refusal(with_config(copied, **changes))


def test_code_that_comes_with_a_tokenizer_is_never_run(copied):
    code = {"auto_map": {"AutoTokenizer": ["own.Own", None]}, "tokenizer_class": "Own"}
    (copied / "tokenizer_config.json").write_text(json.dumps(code))
    (copied / "own.py").write_text("raise SystemExit")
    assert refusal(copied).startswith("the tokenizer of")


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_tokenizer_that_is_missing_or_damaged_is_refused(copied, text):
    for file in copied.glob("tokenizer*"):
        file.unlink()
    if text is not None:
        (copied / "tokenizer.json").write_text(text)
    assert "save that of its dense model" in refusal(copied)


def sharded(folder, *there):
    """The folder with its weights in two shards by its index, of which some are there."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    shards = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    place = {key: shards["layers.2" in key] for key in weights}
    for shard in there:
        part = {key: value for key, value in weights.items() if place[key] == shards[shard]}
        save_file(part, folder / shards[shard], metadata={"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": place}))
    return folder


def test_shards_are_read_by_their_index(copied, tokens):
    expected = load(str(copied)).hidden(tokens)
    torch.testing.assert_close(load(str(sharded(copied, 0, 1))).hidden(tokens), expected, rtol=0, atol=0)


def test_a_missing_shard_is_named(copied):
    assert "lacks 1 of the 2 files that hold its weights (model-00002-of" in refusal(sharded(copied, 0))


def test_an_index_of_nothing_is_refused(copied):
    (sharded(copied, 0, 1) / "model.safetensors.index.json").write_text("[]")
    assert "names no shards" in refusal(copied)


def test_weights_of_another_name_and_adapters_are_told_from_none(copied):
    (copied / "model.safetensors").rename(copied / "gptq_model-4bit.safetensors")
    assert "only gptq_model-4bit.safetensors" in refusal(copied)
    (copied / "adapter_config.json").write_text("{}")
    assert "holds an adapter" in refusal(copied)


SETTINGS = {
    "awq": {"bits": 4, "version": "gemm"},
    "bitsandbytes": {"load_in_4bit": True},
    "gptq": {"bits": 4, "group_size": 8},
    "hqq": {"quant_config": {}},
}


@pytest.mark.parametrize("method", FORMATS)
def test_a_format_without_its_package_names_both_and_the_command(copied, method, monkeypatch):
    monkeypatch.setattr("models.formats.installed", lambda module: False)
    packed = {"quant_method": method} | SETTINGS.get(method, {})
    package = next(iter(FORMATS[method].modules.values()))
    sentence = refusal(with_config(copied, quantization_config=packed))
    assert f"is in the format {FORMATS[method].name}, which needs the package {package}, " in sentence
    assert sentence.endswith(f"run: python -m pip install {package}")


def test_optimum_quanto_is_known_by_its_map(copied, monkeypatch):
    monkeypatch.setattr("models.formats.installed", lambda module: False)
    (copied / "quanto_qmap.json").write_text("{}")
    assert "the format optimum-quanto" in refusal(copied)


def test_what_transformers_says_of_other_formats_is_passed_on(copied):
    sentence = refusal(with_config(copied, quantization_config={"quant_method": "aqlm"}))
    assert "is in the format aqlm and cannot be opened" in sentence
