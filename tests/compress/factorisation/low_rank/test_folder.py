"""Low-rank layers that are saved come back as the same model, and a bad folder leaves a model alone."""

import json

import pytest
import torch

from compress.factorisation.low_rank.folder import LAYOUT, WEIGHTS, load_low_rank, save_low_rank
from compress.factorisation.low_rank.methods import TruncatedSVD
from compress.factorisation.low_rank.sparse import LowRankPlusSparse
from compress.swap import apply
from models.gpt2 import GPT2Shape, build
from models.load import find_blocks
from tests.tiny_models import SHAPE, mlp, tiny_llama


@pytest.mark.parametrize("method", [TruncatedSVD(0.5), LowRankPlusSparse(0.7, 0.3)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_saved_model_gives_the_same_logits_to_the_bit(model, batches, tmp_path, method, dtype):
    apply(method, find_blocks(model.to(dtype)), chosen=mlp)
    expected = model(input_ids=batches[0]).logits
    save_low_rank(model, tmp_path)
    again = build(SHAPE, seed=77).eval().to(dtype)
    load_low_rank(again, tmp_path)
    assert torch.equal(again(input_ids=batches[0]).logits, expected)


def test_layers_without_bias_come_back_too(tokens, tmp_path):
    model, again = tiny_llama(), tiny_llama()
    apply(TruncatedSVD(rank=4), find_blocks(model))
    save_low_rank(model, tmp_path)
    load_low_rank(again, tmp_path)
    assert torch.equal(again(input_ids=tokens).logits, model(input_ids=tokens).logits)


def refused(folder, words, model=None):
    model = build(SHAPE, seed=5).eval() if model is None else model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match=words) as caught:
        load_low_rank(model, folder)
    assert "\n" not in str(caught.value)
    after = model.state_dict()
    assert set(after) == set(before) and all(torch.equal(after[name], before[name]) for name in before)


def test_folders_that_cannot_be_used_are_refused_in_a_sentence(model, tmp_path):
    refused(tmp_path, "has no low-rank.json and model.safetensors; give a folder that save_low_rank wrote")
    apply(TruncatedSVD(0.5), find_blocks(model), chosen=mlp)
    save_low_rank(model, tmp_path)
    refused(tmp_path, "which is no linear layer of this", build(GPT2Shape(2, 12, 2, 29, 16), seed=0))
    refused(tmp_path, "another architecture", build(GPT2Shape(3, 12, 2, 31, 16), seed=0))
    refused(tmp_path, "holds torch.float32 and the model torch.bfloat16", build(SHAPE, seed=5).bfloat16())
    whole = (tmp_path / WEIGHTS).read_bytes()
    (tmp_path / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    refused(tmp_path, "another architecture")
    (tmp_path / WEIGHTS).write_bytes(whole)
    layout = json.loads((tmp_path / LAYOUT).read_text())
    for bad in (
        "{",
        "[]",
        json.dumps({**layout, "layers": {}}),
        json.dumps({**layout, "layers": {"x": {"rank": "y"}}}),
    ):
        (tmp_path / LAYOUT).write_text(bad)
        refused(tmp_path, "is not as save_low_rank writes it")


def test_another_rank_than_the_tensors_have_is_refused(model, tmp_path):
    apply(TruncatedSVD(0.5), find_blocks(model), chosen=mlp)
    save_low_rank(model, tmp_path)
    layout = json.loads((tmp_path / LAYOUT).read_text())
    next(iter(layout["layers"].values()))["rank"] += 1
    (tmp_path / LAYOUT).write_text(json.dumps(layout))
    refused(tmp_path, "another architecture")


def test_a_dense_model_is_not_saved_as_a_low_rank_one(model, tmp_path):
    with pytest.raises(ValueError, match="is a LowRankLinear; save it as it is"):
        save_low_rank(model, tmp_path)
