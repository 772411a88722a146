"""Counts, students and folders of GPT-2."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from bench.krony.printed import FOUR_TERMS, MATRIX, SCALARS, TABLE_1, TABLE_2, model_size
from compress.factorisation.kronecker.sums import FactorShapes
from models.errors import InputError
from models.gpt2 import GPT2_SMALL, GPT2Shape, build, every_other_layer, keep_layers, save_as_gpt2, unique_parameters
from models.load import find_blocks, use_linear_layers

TINY = GPT2Shape(layers=4, width=12, heads=2, vocabulary=29, positions=16)


@pytest.mark.parametrize("shape", [TINY, GPT2Shape(1, 8, 1, 11, 4)])
def test_count_is_that_of_a_built_model(shape):
    model = build(shape, seed=0)
    assert unique_parameters(model) == shape.parameters()
    assert shape.parameters(tied=False) == shape.parameters() + shape.vocabulary * shape.width


def test_gpt2_small_has_its_published_size():
    assert GPT2_SMALL.parameters() == 124_439_808


@pytest.mark.parametrize("row", TABLE_1, ids=lambda row: f"{row.first[0]}x{row.first[1]}")
def test_table_1_to_the_parameter(row):
    shapes = FactorShapes.cut(MATRIX, row.first)
    assert (shapes.parameters, model_size(row.first), shapes.most_rank()) == (row.parameters, row.model_size, 768)


def test_table_2_and_the_model_of_four_terms():
    for first, sizes in TABLE_2.items():
        for terms, printed in enumerate(sizes, 1):
            unit = 10 ** -len(printed.partition(".")[2])
            assert 0 <= model_size(first, terms) / 1e6 - float(printed) < unit, "all are cut off, not rounded"
    assert model_size(FOUR_TERMS, 4) == 92_983_392
    assert model_size(FOUR_TERMS, 4, scalars=True) - model_size(FOUR_TERMS, 4) == SCALARS


def test_students_keep_the_right_blocks():
    model = build(TINY, seed=0)
    student = every_other_layer(model)
    assert len(find_blocks(student)) == student.config.num_hidden_layers == 2
    for kept, block in zip((0, 2), find_blocks(student), strict=True):
        for name, parameter in block.named_parameters():
            assert torch.equal(parameter, model.transformer.h[kept].get_parameter(name))
    tokens = torch.arange(8)[None]
    assert student(input_ids=tokens, use_cache=True).logits.shape == (1, 8, 29)
    assert len(find_blocks(model)) == 4
    same = keep_layers(model, [0, 1, 2, 3])
    torch.testing.assert_close(same(input_ids=tokens).logits, model(input_ids=tokens).logits, rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"\[0, 4\] are not all among the 4"):
        keep_layers(model, [0, 4])


def test_twelve_layers_lose_those_that_distilgpt2_lost():
    twelve = build(GPT2Shape(layers=12, width=8, heads=1, vocabulary=11, positions=4), seed=0)
    first = [block.attn.c_attn.weight[0, 0].item() for block in find_blocks(twelve)]
    kept = [block.attn.c_attn.weight[0, 0].item() for block in find_blocks(every_other_layer(twelve))]
    assert [first.index(value) for value in kept] == [0, 2, 4, 7, 9, 11]


def test_every_decoder_family_can_lose_layers(tiny, tokens):
    student = keep_layers(tiny, [0, 2])
    assert student(input_ids=tokens, use_cache=False).logits.shape[:2] == tokens.shape
    blocks = find_blocks(tiny)
    hidden = tiny.get_input_embeddings()(tokens)
    assert len(blocks) == 3 and hidden.isfinite().all()


def test_a_dense_folder_opens_with_the_same_logits(tmp_path):
    model = build(TINY, seed=3)
    folder = tmp_path / "gpt2"
    save_as_gpt2(model, folder)
    save_as_gpt2(model, folder)  # what stood there is replaced
    opened = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokens = torch.arange(16)[None]
    torch.testing.assert_close(opened(tokens).logits, model.eval()(tokens).logits, rtol=1e-5, atol=1e-6)
    use_linear_layers(opened)
    for (name, parameter), (_, expected) in zip(opened.named_parameters(), model.named_parameters(), strict=True):
        assert torch.equal(parameter, expected), name
    model.transformer.h[0].mlp.c_fc = torch.nn.Identity()
    with pytest.raises(InputError, match="c_fc is a Identity"):
        save_as_gpt2(model, folder)
    assert (folder / "model.safetensors").exists()
