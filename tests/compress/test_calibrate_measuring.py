"""Statistics are measured once for layers that read the same tensor, and on sequences where those are told."""

from typing import ClassVar

import pytest
import torch
from torch import nn

from compress.calibrate import (
    block_inputs,
    calibrated,
    linear_layers,
    measuring,
)
from compress.statistics import GramMatrix, SquaredInputs, gram_matrix
from models.load import find_blocks
from tests.tiny_models import run


def test_layers_that_read_the_same_tensor_share_the_work_and_nothing_else(tiny, tokens, monkeypatch):
    block = find_blocks(tiny)[0]
    layers, alone, calls = linear_layers(block), {}, []
    hooks_on = [
        layer.register_forward_pre_hook(lambda _l, args, name=name: alone.setdefault(name, []).append(args[0].clone()))
        for name, layer in layers.items()
    ]
    of = GramMatrix.of
    monkeypatch.setattr(GramMatrix, "of", staticmethod(lambda inputs: (calls.append(1), of(inputs))[1]))
    with torch.no_grad(), measuring(layers, GramMatrix) as measured:
        for batch in block_inputs(run(tiny), block, tokens.split(2)):
            batch.through(block)
    for hook in hooks_on:
        hook.remove()
    batches = len(alone[next(iter(alone))])
    assert batches == len(tokens.split(2)) and len(calls) == batches * 4, "attention's in and out, the MLP's in and out"
    for name, layer in layers.items():
        expected = GramMatrix(layer)
        for inputs in alone[name]:
            expected.add(inputs)
        assert measured[name].tokens == expected.tokens
        torch.testing.assert_close(measured[name].sum, expected.sum, rtol=0, atol=0)


def test_first_tokens_are_told_where_a_layer_is_handed_all_tokens_in_one_row(tiny, tokens):
    """OPT's networks are; the others' are handed sequences. Against inputs that were recorded."""
    block, seen = find_blocks(tiny)[0], {}
    for name, layer in linear_layers(block).items():
        layer.register_forward_pre_hook(lambda _l, args, name=name: seen.update({name: args[0].view(4, 16, -1)}))
    inputs = block_inputs(run(tiny), block, [tokens])
    _, measured = next(calibrated([block], inputs, gram_matrix(9.0)))
    for name, statistic in measured.items():
        weights = torch.ones(tokens.shape, dtype=torch.float64)
        weights[:, 0] = 9
        own = seen[name].double()
        expected = torch.einsum("bt,bti,btj->ij", weights, own, own)
        torch.testing.assert_close(statistic.sum, expected, rtol=1e-5, atol=1e-5)  # products in float32


class Shapes(SquaredInputs):
    """Statistic that only remembers the shapes of what it is handed."""

    seen: ClassVar[list] = []

    @classmethod
    def batch(cls, inputs):
        cls.seen.append(tuple(inputs.shape))
        return super().batch(inputs)


@pytest.mark.parametrize(
    ("given", "shape", "handed"),
    [
        ((6, 4), lambda: (2, 3), (2, 3, 4)),
        ((2, 3, 4), lambda: (2, 3), (2, 3, 4)),
        ((6, 4), None, (6, 4)),
        ((2, 3, 4), None, (2, 3, 4)),
    ],
)
def test_tokens_in_one_row_are_cut_into_sequences_where_those_are_told(given, shape, handed):
    Shapes.seen.clear()
    layer = nn.Linear(4, 2)
    with measuring({"fc": layer}, Shapes, shape) as statistics:
        layer(torch.ones(given))
    assert Shapes.seen == [handed] and statistics["fc"].tokens == 6


def test_two_tensors_one_after_another_are_two_batches():
    first, second = nn.Linear(4, 2), nn.Linear(4, 3)
    one, other = torch.ones(2, 4), 2 * torch.ones(3, 4)
    Shapes.seen.clear()
    with measuring({"first": first, "second": second}, Shapes) as statistics:
        for inputs in (one, other, one):
            first(inputs)
            second(inputs)
    assert Shapes.seen == [(2, 4), (3, 4), (2, 4)]
    for statistic in statistics.values():
        assert statistic.tokens == 7 and statistic.sum.tolist() == [16.0] * 4
