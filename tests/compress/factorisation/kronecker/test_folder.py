"""Factors that are saved come back as the same model."""

import copy

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from compress.factorisation.kronecker.embedding import factorised_embedding
from compress.factorisation.kronecker.folder import load_factorised, save_factorised
from compress.factorisation.kronecker.method import KroneckerFactorisation, Start
from compress.swap import apply
from models.gpt2 import GPT2Shape, build, save_as_gpt2
from models.load import find_blocks
from tests.tiny_models import SHAPE, mlp


@pytest.mark.parametrize("scalars", [False, True])
def test_saved_and_dense_give_the_same_logits(model, batches, tmp_path, scalars):
    dense_twin = copy.deepcopy(model)
    apply(KroneckerFactorisation((2, 1), scalars=scalars), find_blocks(model), chosen=mlp)
    expected = model(input_ids=batches[0]).logits
    save_factorised(model, tmp_path / "factors")
    again = build(SHAPE, seed=77).eval()
    load_factorised(again, tmp_path / "factors")
    assert torch.equal(again(input_ids=batches[0]).logits, expected)
    with pytest.raises(ValueError, match=r"another architecture|does not have"):
        load_factorised(build(GPT2Shape(2, 12, 2, 29, 16), seed=0), tmp_path / "factors")
    with pytest.raises(ValueError, match="save_factorised wrote"):
        load_factorised(dense_twin, tmp_path)
    for block in find_blocks(model):
        block.mlp.c_fc, block.mlp.c_proj = block.mlp.c_fc.dense(), block.mlp.c_proj.dense()
    save_as_gpt2(model, tmp_path / "dense")
    opened = AutoModelForCausalLM.from_pretrained(tmp_path / "dense").eval()
    torch.testing.assert_close(opened(input_ids=batches[0]).logits, expected, rtol=1e-4, atol=1e-5)


def test_factorised_embedding_and_orders_are_saved_too(model, batches, tmp_path):
    apply(KroneckerFactorisation((4, 2), terms=2, start=Start.PERMUTED), find_blocks(model)[1::2], chosen=mlp)
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
    model.set_input_embeddings(factorised_embedding(model.get_input_embeddings(), (2, 1), 1))
    expected = model(input_ids=batches[0]).logits
    save_factorised(model, tmp_path)
    again = build(SHAPE, seed=5).eval()
    again.lm_head.weight = nn.Parameter(again.lm_head.weight.detach().clone())
    load_factorised(again, tmp_path)
    assert torch.equal(again(input_ids=batches[0]).logits, expected)
