"""Wanda's scores, and its masks in a model."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch

from compress.calibrate import block_inputs, linear_layers, measuring
from compress.pruning.wanda import WandaPruning, wanda_scores
from compress.selection import smallest
from compress.statistics import SquaredInputs
from compress.swap import compressed
from models.load import find_blocks
from tests.layers import layer_of, measured
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


@pytest.mark.parametrize("n_of_m", [(1, 4), (3, 4), (2, 4), (1, 2)])
def test_a_pattern_keeps_the_n_of_every_m_with_the_highest_scores(n_of_m):
    """Also where as many go as stay is not the rule."""
    n, m = n_of_m
    layer = layer_of(torch.randn(5, 24, generator=torch.Generator().manual_seed(0)))
    statistic = measured(layer, torch.rand(30, 24, generator=torch.Generator().manual_seed(1)), SquaredInputs)
    made = WandaPruning(1 - n / m, n_of_m)(layer, statistic)
    scores = wanda_scores(layer.weight.detach(), statistic.mean).view(5, -1, m)
    kept = (made.weight != 0).view(5, -1, m)
    assert (kept.sum(-1) == n).all()
    assert (scores.masked_fill(~kept, torch.inf).amin(-1) > scores.masked_fill(kept, -1).amax(-1)).all()
    assert made.storage.value_bits == 5 * 24 * n // m * 32
    assert made.storage.mask_bits == 5 * 24 * n // m * (m - 1).bit_length()


def test_without_a_pattern_every_row_loses_its_share():
    layer = layer_of(torch.randn(4, 10, generator=torch.Generator().manual_seed(0)))
    statistic = measured(layer, torch.rand(30, 10, generator=torch.Generator().manual_seed(1)), SquaredInputs)
    made = WandaPruning(0.3)(layer, statistic)
    assert ((made.weight == 0).sum(1) == 3).all()
    assert (made.storage.value_bits, made.storage.mask_bits) == (28 * 32, 40)


def test_names_and_settings():
    assert [str(WandaPruning(0.5)), str(WandaPruning(0.75, (1, 4)))] == ["wanda-0.5", "wanda-0.75-1of4"]
    with pytest.raises(FrozenInstanceError):
        WandaPruning(0.5).sparsity = 0.6
