"""Unstructured pruning of the same matrices and as many weights as structured pruning takes."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.calibrate import block_inputs, linear_layers, measuring
from compress.pruning.equal_count import UnstructuredCounterpart, smallest_of_rows
from compress.pruning.structured import StructuredPruning
from compress.pruning.wanda import wanda_scores
from compress.statistics import SquaredInputs
from compress.swap import compressed
from models.load import find_blocks
from tests.tiny_models import run


@given(st.integers(1, 6), st.integers(1, 7), st.data())
@settings(max_examples=60)
def test_as_many_go_as_asked_and_the_lowest_of_every_row(rows, members, data):
    count = data.draw(st.integers(0, rows * members - 1))
    scores = torch.randn(rows, members, generator=torch.Generator().manual_seed(count)).round(decimals=1)
    mask = smallest_of_rows(scores, count)
    assert int(mask.sum()) == count
    assert set(mask.sum(1).tolist()) <= {count // rows, count // rows + 1}
    for gone, values in zip(mask, scores, strict=True):
        assert not gone.any() or gone.all() or values[gone].max() <= values[~gone].min()


def test_rows_that_give_one_more_are_those_whose_next_is_lowest():
    scores = torch.tensor([[1.0, 9.0], [2.0, 3.0], [4.0, 5.0]])
    assert smallest_of_rows(scores, 4).tolist() == [[True, False], [True, True], [True, False]]


def test_the_same_layers_lose_as_many_weights(tiny, tokens):
    structured = StructuredPruning(0.3)
    blocks, dense = find_blocks(tiny), {}
    for index, block in enumerate(blocks):
        dense |= {f"{index}.{name}": layer.weight.numel() for name, layer in linear_layers(block).items()}
    with compressed(structured, blocks, forward=run(tiny), batches=[tokens]) as outcome:
        kept = {layer.name: layer.storage.value_bits // 32 for layer in outcome.compressed}
    with compressed(UnstructuredCounterpart(structured), blocks, forward=run(tiny), batches=[tokens]) as outcome:
        zeros = {layer.name: round(layer.sparsity * dense[layer.name]) for layer in outcome.compressed}
    assert zeros == {name: dense[name] - kept[name] for name in dense}
    assert any(zeros.values()) and not all(zeros.values())


def test_the_scores_are_wandas(tiny, tokens):
    structured = StructuredPruning(0.3)
    block = find_blocks(tiny)[0]
    layers = linear_layers(block)
    with measuring(layers, SquaredInputs) as statistics, torch.no_grad():
        for batch in block_inputs(run(tiny), block, [tokens]):
            batch.through(block)
    made = UnstructuredCounterpart(structured).compress_block(layers, statistics)
    for name, layer in layers.items():
        gone = made[name].weight == 0
        expected = smallest_of_rows(wanda_scores(layer.weight.detach(), statistics[name].mean), int(gone.sum()))
        assert torch.equal(gone, expected), name


def test_layers_that_structured_pruning_leaves_alone_stay_dense(tiny, tokens):
    block = find_blocks(tiny)[0]
    layers = linear_layers(block)
    with measuring(layers, SquaredInputs) as statistics, torch.no_grad():
        block_inputs(run(tiny), block, [tokens])[0].through(block)
    made = UnstructuredCounterpart(StructuredPruning(0.3)).compress_block(layers, statistics)
    dense = {name for name, layer in layers.items() if torch.equal(made[name].weight, layer.weight)}
    assert dense and dense < set(layers)
    for name in dense:
        assert made[name].storage.value_bits == layers[name].weight.numel() * 32 and made[name].storage.mask_bits == 0
    for name in set(layers) - dense:
        assert made[name].storage.mask_bits == layers[name].weight.numel()


def test_a_whole_number_of_every_row_takes_no_row_apart():
    scores = torch.tensor([[1.0, 2.0, 3.0], [6.0, 5.0, 4.0]])
    assert smallest_of_rows(scores, 2).int().tolist() == [[1, 0, 0], [0, 0, 1]]
    assert not smallest_of_rows(scores, 0).any() and smallest_of_rows(scores, 6).all()
    assert smallest_of_rows(scores, 1).int().tolist() == [[1, 0, 0], [0, 0, 0]]


def test_names_and_settings():
    method = UnstructuredCounterpart(StructuredPruning(0.3))
    assert str(method) == "wanda-for-structured-0.3"
    with pytest.raises(FrozenInstanceError):
        method.structured = None
