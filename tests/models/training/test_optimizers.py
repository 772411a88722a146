"""Adafactor of stacked models is that of each model alone."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.training.optimizers import adafactor
from models.training.plan import Training
from models.training.train_many import train_many

HOW = Training(steps=5, batch=4, learning_rate=0.05, weight_decay=0.0)


@pytest.fixture
def networks():
    """Networks whose weights are of unlike sizes, so that a scale that they shared would show."""
    made = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        network = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=10.0**-seed, generator=generator)
        made.append(network)
    return made


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(9)
    return torch.randn(4, 3, generator=generator), torch.randn(4, 2, generator=generator)


def squared(model, inputs, outputs):
    return functional.mse_loss(model(inputs), outputs)


def test_every_model_has_its_own_scale(networks, data):
    """A batch of all examples is the same in any order, so each model alone sees what the stack does."""
    rows, wanted = data
    alone = copy.deepcopy(networks)
    train_many(networks, rows, HOW, range(3), loss=squared, given=[wanted], optimize=adafactor)
    for model, stacked in zip(alone, networks, strict=True):
        optimizer = torch.optim.Adafactor(model.parameters(), lr=HOW.learning_rate)
        for _ in range(HOW.steps):
            optimizer.zero_grad()
            squared(model, rows, wanted).backward()
            nn.utils.clip_grad_norm_(model.parameters(), HOW.clip)
            optimizer.step()
        torch.testing.assert_close(list(model.parameters()), list(stacked.parameters()), rtol=1e-4, atol=1e-6)


def test_a_step_is_a_share_of_a_matrix(networks, data):
    """Rates are relative: a matrix a hundred times as large moves a hundred times as far."""
    rows, wanted = data
    before = [model[0].weight.detach().clone() for model in networks]
    how = Training(steps=1, batch=4, learning_rate=0.05, weight_decay=0.0)
    train_many(networks, rows, how, range(3), loss=squared, given=[wanted], optimize=adafactor)
    for old, model in zip(before, networks, strict=True):
        moved = (model[0].weight - old).square().mean().sqrt() / old.square().mean().sqrt()
        assert 0.02 < moved <= 0.0501
