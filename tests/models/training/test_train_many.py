"""Models trained together come out as they would in other company."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.training.plan import Training
from models.training.train_many import train_many

HOW = Training(steps=6, batch=4, learning_rate=1e-2)


def networks(count=5):
    made = []
    for seed in range(count):
        generator = torch.Generator().manual_seed(seed)
        network = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
        for parameter in network.parameters():
            nn.init.normal_(parameter, generator=generator)
        made.append(network)
    return made


@pytest.fixture
def rows():
    return torch.randn(20, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def wanted():
    return torch.randn(20, 2, generator=torch.Generator().manual_seed(1))


def squared(model, inputs, outputs):
    return functional.mse_loss(model(inputs), outputs)


def trained(rows, wanted, seeds, **how):
    models = networks()
    histories = train_many([models[seed] for seed in seeds], rows, HOW, seeds, loss=squared, given=[wanted], **how)
    return [dict(models[seed].named_parameters()) for seed in seeds], [history.losses for history in histories]


@pytest.mark.parametrize("at_once", [1, 2, 4, 5, 9])
def test_stacks_of_any_size_give_the_same_models(rows, wanted, at_once):
    """The last stack may be smaller; products of more matrices at once round otherwise, by a part in a million."""
    whole, losses = trained(rows, wanted, range(5))
    parts, same = trained(rows, wanted, range(5), at_once=at_once)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(losses, same, rtol=1e-4, atol=1e-5)


def test_all_at_once_is_bit_for_bit_one_stack_as_large(rows, wanted):
    (whole, losses), (same, again) = trained(rows, wanted, range(5)), trained(rows, wanted, range(5), at_once=5)
    assert losses == again
    for one, other in zip(whole, same, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_what_is_given_is_that_of_the_rows(rows, wanted):
    """A loss that is told the answers beside the rows is the loss that finds them by the rows' numbers."""
    numbered = torch.cat([rows, torch.arange(20.0)[:, None]], dim=1)

    def found(model, batch):
        return functional.mse_loss(model(batch[:, :-1]), wanted[batch[:, -1].long()])

    models = networks()
    histories = train_many(models, numbered, HOW, range(5), loss=found)
    beside, losses = trained(rows, wanted, range(5))
    assert [history.losses for history in histories] == losses
    for model, other in zip(models, beside, strict=True):
        torch.testing.assert_close(dict(model.named_parameters()), other, rtol=0, atol=0)


def test_progress_is_told_of_every_models_tokens(rows, wanted):
    told = []
    trained(rows, wanted, range(5), at_once=2, watch=lambda tokens, _loss: told.append(tokens))
    assert sum(told) == 5 * HOW.steps * HOW.batch * rows.shape[1]
    assert len(told) == 3 * HOW.steps


def test_models_stay_where_they_are(rows, wanted):
    models = networks()
    places = [parameter.data_ptr() for model in models for parameter in model.parameters()]
    train_many(models, rows, HOW, range(5), loss=squared, given=[wanted], at_once=2)
    assert places == [parameter.data_ptr() for model in models for parameter in model.parameters()]
