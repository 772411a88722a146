"""GGUF files: every kind of block comes out as llama.cpp's package has it, and damaged files are refused."""

import pytest
import torch
from gguf import GGMLQuantizationType as Kind

from models.errors import InputError
from models.held import dense_bytes, held_bytes
from models.load import load
from models.save import save_dense
from models.sources import weight_bytes
from models.tokenizers import check_same_tokenizer
from tests.gguf_files import tokenizer, wide_llama, write

TOKENS = torch.arange(40).view(2, 20)
KINDS = (Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q5_1, Kind.Q6_K)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_weights_are_those_of_the_blocks(kind, tmp_path):
    file = tmp_path / "model.gguf"
    back = write(wide_llama(), file, kind)
    expected = wide_llama()
    expected.load_state_dict(back | {"lm_head.weight": back["model.embed_tokens.weight"]})
    opened = load(str(file))
    torch.testing.assert_close(opened.model.state_dict(), expected.state_dict(), rtol=0, atol=0)
    logits = opened.head(opened.hidden(TOKENS))
    torch.testing.assert_close(logits, expected(input_ids=TOKENS).logits, rtol=1e-5, atol=1e-6)
    assert weight_bytes(str(file)) == file.stat().st_size


def test_the_file_counts_packed_on_disk_and_unpacked_as_a_dense_model(tmp_path):
    file = tmp_path / "model.gguf"
    write(wide_llama(), file, Kind.Q4_0)
    model = load(str(file)).model
    weights = sum(value.numel() for value in model.parameters())
    assert weight_bytes(str(file)) < weights < dense_bytes(str(file), model) == 4 * weights <= held_bytes(model)


def test_a_file_of_plain_floats_counts_as_it_is(tmp_path):
    file = tmp_path / "model.gguf"
    write(wide_llama(), file, Kind.F16)
    assert dense_bytes(str(file), load(str(file)).model) == weight_bytes(str(file))


def test_nothing_is_kept_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LM_COMPRESSION_BENCH_CACHE", str(tmp_path / "cache"))
    write(wide_llama(), tmp_path / "model.gguf", Kind.Q8_0)
    load(str(tmp_path / "model.gguf"))
    assert not (tmp_path / "cache").exists()


def test_what_was_opened_can_be_saved(tmp_path):
    write(wide_llama(), tmp_path / "model.gguf", Kind.Q8_0)
    opened = load(str(tmp_path / "model.gguf"))
    save_dense(opened.model, opened.tokenizer, tmp_path / "saved", changing_inputs=[])
    again = load(str(tmp_path / "saved"))
    torch.testing.assert_close(again.hidden(TOKENS), opened.hidden(TOKENS), rtol=0, atol=0)


def test_its_tokenizer_is_like_the_dense_folders(tmp_path):
    model = wide_llama()
    model.save_pretrained(tmp_path / "dense")
    tokenizer().save_pretrained(tmp_path / "dense")
    write(model, tmp_path / "model.gguf", Kind.Q8_0)
    dense, packed = load(str(tmp_path / "dense")), load(str(tmp_path / "model.gguf"))
    check_same_tokenizer(dense, packed, ["the then hat"])
    write(model, tmp_path / "other.gguf", Kind.Q8_0, merges=[("h", "e"), ("t", "h"), ("th", "e")])
    with pytest.raises(InputError, match="cut text otherwise"):
        check_same_tokenizer(dense, load(str(tmp_path / "other.gguf")))


def test_a_missing_tensor_is_named(tmp_path):
    write(wide_llama(), tmp_path / "model.gguf", Kind.Q8_0, leave_out="up_proj")
    with pytest.raises(InputError, match=r"it lacks model\.layers\.0\.mlp\.up_proj\.weight;"):
        load(str(tmp_path / "model.gguf"))


@pytest.mark.parametrize("left", [0, 3, 10, 1000, 3000, -40, -1])
def test_a_file_that_was_cut_short_is_refused(tmp_path, left):
    file = tmp_path / "model.gguf"
    write(wide_llama(), file, Kind.Q4_0)
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(InputError, match=r"model\.gguf is no whole GGUF file of a decoder.*") as refused:
        load(str(file))
    assert "\n" not in str(refused.value)


def test_a_file_without_gguf_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(InputError, match=r"is in the format GGUF, which needs the package gguf.*pip install gguf"):
        load(str(tmp_path / "model.gguf"))
