"""Laws of Deep Compression with retraining."""

import numpy as np
import pytest
import torch
from torch import nn

from compress.coding import code
from compress.trained_coding import SharedValues, TrainedSharing, share_values
from models.training.train import Training, train


def layer(sparsity=0.6, d_out=8, d_in=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    made = nn.Linear(d_in, d_out, bias=False)
    weight = torch.randn(d_out, d_in, generator=generator)
    with torch.no_grad():
        made.weight.copy_(weight.masked_fill(torch.rand(d_out, d_in, generator=generator) < sparsity, 0))
    return made


def test_a_shared_value_s_gradient_is_the_sum_of_its_members_gradients():
    own = layer()
    share_values({"": own}, 2)
    shared = own.parametrizations.weight[0]
    gradient = torch.randn(own.weight.shape, generator=torch.Generator().manual_seed(1))
    (own.weight * gradient).sum().backward()
    for number in range(4):
        members = gradient[shared.places == number + 1].double().sum()
        torch.testing.assert_close(shared.centres.grad[number].double(), members, rtol=1e-5, atol=1e-5)


def test_before_training_it_is_one_shot_deep_compression():
    own = layer()
    weight = own.weight.detach().clone()
    share_values({"": own}, 3)
    expected = code(weight, 3)
    np.testing.assert_array_equal(own.weight.detach().numpy(), expected.weight())
    assert own.parametrizations.weight[0].coded().bits() == expected.bits()


def test_trained_values_are_coded_exactly_and_zeros_stay():
    own = layer()
    zeros = own.weight.detach() == 0
    share_values({"": own}, 3)
    first = own.weight.detach().clone()
    rows = torch.randn(16, 40, generator=torch.Generator().manual_seed(2))
    train(own, rows, Training(15, 4, 0.05), loss=lambda m, x: (m(x) - x[:, :8]).square().mean(), watch=lambda *_: None)
    now = own.weight.detach()
    assert not torch.equal(now, first) and (now[zeros] == 0).all() and len(now[~zeros].unique()) <= 8
    exported = TrainedSharing(3)(own)
    torch.testing.assert_close(exported.weight.detach(), now, rtol=0, atol=0)
    streams = own.parametrizations.weight[0].coded()
    assert exported.storage.total_bits == streams.bits()


def test_long_runs_of_zeros_take_fillers():
    own = nn.Linear(200, 1, bias=False)
    with torch.no_grad():
        own.weight.zero_()
        own.weight[0, [3, 150]] = torch.tensor([1.0, -2.0])
    share_values({"": own}, 2)
    np.testing.assert_array_equal(
        SharedValues.coded(own.parametrizations.weight[0]).weight(), own.weight.detach().numpy()
    )


def test_the_weight_below_is_not_trained():
    own = layer()
    share_values({"": own}, 3)
    assert [name for name, p in own.named_parameters() if p.requires_grad] == ["parametrizations.weight.0.centres"]


def test_what_cannot_be_shared_is_refused():
    own = layer()
    share_values({"mlp": own}, 3)
    with pytest.raises(ValueError, match="weight of mlp is held"):
        share_values({"mlp": own}, 3)
    with pytest.raises(ValueError, match="shared values of 4 bits"):
        TrainedSharing(4)(own)
    empty = nn.Linear(3, 2)
    nn.init.zeros_(empty.weight)
    with pytest.raises(ValueError, match="nothing to share"):
        share_values({"mlp": empty}, 3)
