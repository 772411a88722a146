"""Laws of masks that are trained with."""

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from compress.pruning.retrained import (
    CubicSchedule,
    by_magnitude,
    held_mask,
    hold,
    masks_of,
    release,
    shuffled,
    sparsity_of,
)
from models.training.train import Training, train
from tests.oracles import lowest


def model(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 6))


def layers_of(network):
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Linear)}


def trained(network, steps=30, read=None):
    """The network after training with weight decay and momentum, either of which could move what has gone."""
    rows = torch.randn(12, 6, generator=torch.Generator().manual_seed(1))
    done = iter(range(1, steps + 1))
    watch = (lambda _t, _l: None) if read is None else (lambda _t, _l: read(next(done)))
    training = Training(steps, 4, 3e-2, weight_decay=0.5)
    train(network, rows, training, loss=lambda m, x: (m(x) - x.flip(1)).square().mean(), watch=watch)
    return network


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.9])
def test_the_smallest_weights_of_all_layers_go_together(sparsity):
    layers = layers_of(model())
    scores = np.concatenate([layer.weight.detach().abs().flatten().numpy() for layer in layers.values()])
    expected = ~lowest(scores, round(sparsity * len(scores)))
    masks = by_magnitude(layers, sparsity)
    np.testing.assert_array_equal(np.concatenate([mask.flatten().numpy() for mask in masks.values()]), expected)


def test_masks_stay_through_training_and_the_rest_learns():
    network = model()
    layers = layers_of(network)
    masks = by_magnitude(layers, 0.6)
    hold(layers, masks)
    before = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    trained(network)
    for name, layer in layers.items():
        assert torch.equal(layer.weight == 0, ~masks[name])
        assert not torch.equal(layer.weight, before[name])


def test_training_under_masks_is_training_of_the_weights_that_are_left():
    """Against a loop that sets gradients and weights to zero by hand."""
    network = model()
    plain, masks = copy.deepcopy(network), by_magnitude(layers_of(network), 0.5)
    hold(layers_of(network), masks)
    rows = torch.randn(8, 6, generator=torch.Generator().manual_seed(3))
    optimizers = [torch.optim.AdamW(each.parameters(), lr=1e-2, weight_decay=0.1) for each in (network, plain)]
    with torch.no_grad():
        for name, layer in layers_of(plain).items():
            layer.weight.mul_(masks[name])
    for _ in range(5):
        for each, optimizer in zip((network, plain), optimizers, strict=True):
            optimizer.zero_grad()
            (each(rows) - rows).square().mean().backward()
            if each is plain:
                for name, layer in layers_of(plain).items():
                    layer.weight.grad.mul_(masks[name])
            optimizer.step()
    for name, layer in layers_of(network).items():
        torch.testing.assert_close(layer.weight, layers_of(plain)[name].weight, rtol=0, atol=0)


def test_what_lies_under_a_mask_cannot_show_through():
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[float("inf"), 2.0]]))
    hold({"": layer}, {"": torch.tensor([[False, True]])})
    assert layer.weight.tolist() == [[0.0, 2.0]]


def test_masks_of_rising_sparsity_are_nested_whatever_is_trained_between():
    network = model()
    layers = layers_of(network)
    before = by_magnitude(layers, 0.0)
    for sparsity in (0.3, 0.5, 0.8):
        hold(layers, by_magnitude(layers, sparsity))
        now = masks_of(layers)
        assert sparsity_of(now) == pytest.approx(sparsity, abs=1e-9 + 0.5 / 60)
        assert all((now[name] <= before[name]).all() for name in now)
        before = now
        trained(network, steps=5)


def test_a_weight_that_is_kept_and_zero_goes_after_those_that_have_gone():
    layer = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0, 5.0, 1.0, 2.0]]))
    hold({"": layer}, {"": torch.tensor([[True, False, True, True]])})
    assert by_magnitude({"": layer}, 0.25)[""].tolist() == [[True, False, True, True]]


@given(st.floats(0, 0.9), st.integers(0, 5))
def test_random_masks_keep_as_many_weights_of_each_layer(sparsity, seed):
    masks = by_magnitude(layers_of(model()), sparsity)
    random = shuffled(masks, seed)
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {n: int(m.sum()) for n, m in random.items()}


def test_random_masks_differ_between_seeds_and_layers():
    masks = {name: torch.arange(60).view(6, 10) % 2 == 0 for name in ("a", "b")}
    first, second = shuffled(masks, 0), shuffled(masks, 1)
    assert not torch.equal(first["a"], first["b"]) and not torch.equal(first["a"], second["a"])
    assert torch.equal(first["a"], shuffled(masks, 0)["a"])


def test_a_released_model_is_plain_and_keeps_its_zeros():
    network, rows = model(), torch.randn(3, 6, generator=torch.Generator().manual_seed(4))
    names = set(network.state_dict())
    hold(layers_of(network), by_magnitude(layers_of(network), 0.5))
    before = network(rows)
    release(layers_of(network))
    assert set(network.state_dict()) == names and held_mask(network[0]) is None
    torch.testing.assert_close(network(rows), before, rtol=0, atol=0)


def test_a_ticket_of_another_shape_is_refused_before_anything_is_held():
    layers = layers_of(model())
    masks = by_magnitude(layers, 0.5)
    masks["2"] = masks["2"].T[:3]
    with pytest.raises(ValueError, match=r"mask of 2 is \(3, 6\) and its weight \(6, 5\)"):
        hold(layers, masks)
    with pytest.raises(ValueError, match="no mask for 0"):
        hold(layers, {})
    assert held_mask(layers["0"]) is None


@given(st.floats(0, 0.5), st.floats(0.5, 0.95), st.integers(1, 50))
def test_the_cubic_schedule_rises_from_its_beginning_to_its_end(initial, final, steps):
    schedule = CubicSchedule(final, steps, initial=initial)
    course = [schedule.at(step) for step in range(steps + 5)]
    assert course[0] == pytest.approx(initial, abs=1e-12) and course[-1] == pytest.approx(final, abs=1e-12)
    assert all(a <= b + 1e-12 for a, b in itertools.pairwise(course))


def test_the_cubic_schedule_halfway_by_hand():
    assert CubicSchedule(0.8, 10).at(5) == pytest.approx(0.8 - 0.8 / 8)


@pytest.mark.parametrize("wrong", [{"final": 1.0}, {"final": -0.1}, {"initial": 1.5}, {"steps": 0}, {"every": 0}])
def test_a_schedule_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="must be at least"):
        CubicSchedule(**{"final": 0.5, "steps": 4, **wrong})


def test_gradual_pruning_ends_at_its_sparsity_and_nothing_comes_back():
    network = model()
    layers, seen = layers_of(network), []
    hold(layers, masks_of(layers))
    schedule = CubicSchedule(0.7, 20, every=3)

    def read(done):
        schedule.prune(layers, done)
        seen.append(masks_of(layers))

    trained(network, steps=25, read=read)
    assert sparsity_of(seen[-1]) == pytest.approx(0.7, abs=0.5 / 60)
    for before, after in itertools.pairwise(seen):
        assert all((after[name] <= before[name]).all() for name in after)
    assert all(torch.equal(layer.weight == 0, ~seen[-1][name]) for name, layer in layers.items())
