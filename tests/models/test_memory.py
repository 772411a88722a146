"""Memory counted on the meta device: storages that live at once, each counted once."""

import pytest
import torch
from torch import nn

from models.memory import on_meta, peak_bytes, room
from tests.tiny_models import tiny_gpt2

FLOAT = 4


def ones(count):
    return torch.ones(count, device="meta")


def test_what_is_gone_is_not_counted():
    def run():
        first = ones(100)
        second = first + 1
        del first
        return second + 1

    assert peak_bytes(run) == 2 * 100 * FLOAT


def test_views_share_their_storage():
    assert peak_bytes(lambda: ones(100).view(10, 10).T[:5]) == 100 * FLOAT


def test_what_is_held_counts_though_it_is_never_met():
    assert peak_bytes(lambda: ones(100), [ones(30)]) == 130 * FLOAT


def test_what_autograd_saves_lives_until_the_backward_pass():
    """The sine saves its input; of the sum, only the gradient's one number is expanded without a copy."""
    weight = ones(100).requires_grad_(True)
    forward = peak_bytes(lambda: weight.sin().sin().sin(), [weight])
    without = peak_bytes(torch.no_grad()(lambda: weight.sin().sin().sin()), [weight])
    assert (forward, without) == (4 * 100 * FLOAT, 3 * 100 * FLOAT)


def test_the_count_is_that_of_real_tensors():
    def step(device):
        network = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8)).to(device)
        inputs = torch.ones(64, 8, device=device)
        return peak_bytes(lambda: network(inputs).square().mean().backward(), network.parameters())

    assert step("meta") == step("cpu")


def test_a_copy_on_meta_has_the_shapes_and_ties_and_none_of_the_values():
    model = tiny_gpt2()
    copied = on_meta(model)
    assert {each.device.type for each in copied.parameters()} == {"meta"}
    assert copied.lm_head.weight is copied.transformer.wte.weight
    assert [each.shape for each in copied.parameters()] == [each.shape for each in model.parameters()]
    assert {each.device.type for each in model.parameters()} == {"cpu"}


@pytest.mark.parametrize("gigabytes", [1, 40.5])
def test_some_of_the_planned_memory_stays_free(gigabytes):
    assert 0 < room(gigabytes) < gigabytes * 10**9
