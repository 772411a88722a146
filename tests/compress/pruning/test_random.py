"""Random pruning depends on its seed and the layer's name alone."""

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
