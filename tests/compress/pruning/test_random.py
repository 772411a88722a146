"""Random pruning depends on its seed and the layer's name alone."""

from dataclasses import FrozenInstanceError

import pytest
import torch

from compress.pruning.random import RandomPruning
from tests.layers import layer_of


def test_random_choices_depend_on_seed_and_name_alone():
    layer = layer_of(torch.ones(8, 8))
    first = RandomPruning(0.25)(layer, name="a").weight
    assert torch.equal(first, RandomPruning(0.25)(layer, name="a").weight)
    assert not torch.equal(first, RandomPruning(0.25)(layer, name="b").weight)
    assert not torch.equal(first, RandomPruning(0.25, seed=1)(layer, name="a").weight)
    assert (first == 0).sum() == 16


def test_the_seed_is_0_unless_it_is_told_and_names_tell_others():
    layer = layer_of(torch.ones(8, 8))
    first, same = (method(layer, name="a").weight for method in (RandomPruning(0.25), RandomPruning(0.25, 0)))
    assert torch.equal(first, same)
    assert [str(RandomPruning(0.25)), str(RandomPruning(0.25, 3))] == ["random-0.25", "random-0.25-seed-3"]
    assert RandomPruning(0.25)(layer).sparsity() == 0.25
    with pytest.raises(FrozenInstanceError):
        RandomPruning(0.25).seed = 1


def test_large_weights_go_as_often_as_small_ones():
    """Of 10,000 the binomial error is a half per cent."""
    weight = torch.cat([torch.full((100, 50), 1e-3), torch.full((100, 50), 1e3)], dim=1)
    gone = RandomPruning(0.5)(layer_of(weight), name="a").weight == 0
    assert gone[:, :50].float().mean().item() == pytest.approx(0.5, abs=0.03)
