"""Sums of gradients against autograd, batch by batch, and a model that is left as it was."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from compress.calibrate import linear_layers
from compress.gradients import GradientSums, gradient_sums
from models.load import find_blocks


def layers_of(model):
    return {f"{i}.{name}": layer for i, b in enumerate(find_blocks(model)) for name, layer in linear_layers(b).items()}


def loss_of(model):
    def loss(tokens):
        logits = model(input_ids=tokens, use_cache=False).logits
        return functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())

    return loss


def test_sums_are_those_of_autograd_over_batches(tiny, tokens):
    tiny.double()
    layers, loss = layers_of(tiny), loss_of(tiny)
    sums = gradient_sums(layers, loss, tokens.split(1))
    expected = {name: torch.zeros_like(layer.weight) for name, layer in layers.items()}
    squares = {name: torch.zeros_like(layer.weight) for name, layer in layers.items()}
    tiny.requires_grad_(True)
    for sequence in tokens.split(1):
        for name, gradient in zip(
            layers, torch.autograd.grad(loss(sequence), [layer.weight for layer in layers.values()]), strict=True
        ):
            expected[name] += gradient
            squares[name] += gradient.square()
    for name, own in sums.items():
        assert own.batches == 4
        torch.testing.assert_close(own.mean.double(), expected[name] / 4, rtol=1e-5, atol=1e-9)  # float32 sums
        torch.testing.assert_close(own.fisher.double(), squares[name] / 4, rtol=1e-5, atol=1e-12)


def test_the_model_is_left_as_it_was_after_an_error_too(tiny, tokens):
    layers = layers_of(tiny)
    first, *others = layers.values()
    held = torch.ones_like(first.weight)
    first.weight.requires_grad_(True)
    first.weight.grad = held
    gradient_sums(layers, loss_of(tiny), tokens.split(2))
    with pytest.raises(ZeroDivisionError):
        gradient_sums(layers, lambda _tokens: 1 / 0, tokens.split(2))
    assert first.weight.grad is held and torch.equal(held, torch.ones_like(held)) and first.weight.requires_grad
    assert not any(layer.weight.requires_grad or layer.weight.grad is not None for layer in others)
    before = first.weight.grad.clone()
    loss_of(tiny)(tokens).backward()  # no hook takes the gradient away any more
    assert not torch.equal(first.weight.grad, before)


def test_only_one_weights_gradient_is_held_at_a_time():
    layers = {str(i): nn.Linear(3, 3, bias=False) for i in range(4)}
    held = []

    class Watched(nn.Module):
        def forward(self, x):
            for layer in layers.values():
                x = layer(x)
                x.register_hook(lambda _g: held.append(sum(own.weight.grad is not None for own in layers.values())))
            return x

    gradient_sums(layers, lambda batch: Watched()(batch).square().sum(), [torch.ones(2, 3)])
    assert held == [0, 0, 0, 0]


def test_what_says_nothing_is_refused_in_a_sentence():
    used, unused = nn.Linear(2, 2), nn.Linear(2, 2)

    def loss(batch):
        return used(batch).sum()

    with pytest.raises(ValueError, match="unused had 0 gradients in 1 batches; give at least one batch"):
        gradient_sums({"used": used, "unused": unused}, loss, [torch.ones(1, 2)])
    with pytest.raises(ValueError, match="used had 0 gradients in 0 batches"):
        gradient_sums({"used": used}, loss, [])
    with pytest.raises(ValueError, match="the loss of calibration batch 2 is nan; leave that text out"):
        gradient_sums({"used": used}, loss, [torch.ones(1, 2), torch.full((1, 2), torch.nan)])
    nn.init.zeros_(used.weight)  # a loss that is small, and gradients that are not
    with pytest.raises(ValueError, match="the gradients of used overflow"):
        gradient_sums({"used": used}, loss, [torch.full((3, 2), 2e38)])
    with pytest.raises(ValueError, match="no gradient was taken"):
        _ = GradientSums(used.weight).mean
