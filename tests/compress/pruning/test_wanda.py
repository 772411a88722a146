"""Wanda's scores, and its masks in a model."""

import numpy as np
import torch

from compress.calibrate import block_inputs, linear_layers, measuring
from compress.pruning.wanda import WandaPruning, wanda_scores
from compress.selection import smallest
from compress.statistics import SquaredInputs
from compress.swap import compressed
from models.load import find_blocks
from tests.tiny_models import run


def test_wanda_with_equal_inputs_is_magnitude_and_follows_their_scale():
    weight = torch.randn(5, 9, generator=torch.Generator().manual_seed(0))
    equal = smallest(wanda_scores(weight, torch.full((9,), 3.7)), 4)
    assert torch.equal(equal, smallest(weight.abs(), 4))
    squares = torch.rand(9, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        wanda_scores(weight, squares).double(), weight.double().abs() * squares.double().sqrt(), rtol=2e-7, atol=0
    )


def test_scaling_an_input_and_unscaling_its_column_changes_no_wanda_mask():
    generator = torch.Generator().manual_seed(3)
    weight, squares = torch.randn(6, 8, generator=generator), torch.rand(8, generator=generator)
    factor = 2.0 ** torch.arange(-4, 4)  # powers of two: no rounding
    before = smallest(wanda_scores(weight, squares), 3)
    assert torch.equal(smallest(wanda_scores(weight / factor, squares * factor**2), 3), before)


def test_wanda_in_a_model_is_wanda_by_hand_on_the_compressed_prefix(tiny, tokens):
    """Each block's mask comes from the inputs it gets when all blocks before it are already pruned."""
    blocks = find_blocks(tiny)
    inputs = block_inputs(run(tiny), blocks[0], tokens.split(2))
    expected = {}
    with torch.no_grad():
        for index, block in enumerate(blocks):
            kept = {name: layer.weight.clone() for name, layer in linear_layers(block).items()}
            with measuring(linear_layers(block), SquaredInputs) as measured:
                for batch in inputs:
                    batch.through(block)
            for name, layer in linear_layers(block).items():
                scores = (kept[name].abs() * measured[name].sum.sqrt()).numpy()
                count = round(0.5 * scores.shape[1])
                order = np.argsort(scores, axis=1, kind="stable")[:, :count]
                for row, columns in enumerate(order):
                    layer.weight[row, columns] = 0
                expected[f"{index}.{name}"] = layer.weight.clone()
            inputs = [batch.through(block) for batch in inputs]
            for name, layer in linear_layers(block).items():
                layer.weight.copy_(kept[name])
    with compressed(WandaPruning(0.5), blocks, forward=run(tiny), batches=tokens.split(2)):
        for index, block in enumerate(blocks):
            for name, layer in linear_layers(block).items():
                torch.testing.assert_close(layer.weight, expected[f"{index}.{name}"], rtol=0, atol=0)
