"""LoSparse's pruning of residuals, against a slow transcription of its rules on a toy."""

import numpy as np
import pytest
import torch

from compress.factorisation.low_rank.decompose import truncated_svd
from compress.factorisation.low_rank.layer import LowRankLinear
from compress.factorisation.low_rank.losparse import LoSparse, ResidualPruning
from tests.layers import random

RULE = LoSparse(steps=12, final=0.25, first=2, last=3, every=2)


def layers():
    made = {}
    for seed, name in enumerate("ab"):
        weight = random(8, 6, seed=seed)
        factors = truncated_svd(weight, 2)
        made[name] = LowRankLinear(*factors, None, residual=weight - factors.product())
    return made


def transcribed(own, rate, steps):
    """Weight by weight in numpy: gradient step, sensitivity, uncertainty, row means, and the rows that stay."""
    inputs = {name: random(20, 6, seed=7).numpy() for name in own}
    u = {n: layer.left.detach().numpy().copy() for n, layer in own.items()}
    v = {n: layer.right.detach().numpy().copy() for n, layer in own.items()}
    s = {n: layer.residual.detach().numpy().copy() for n, layer in own.items()}
    mean = {n: np.zeros((8, 6)) for n in own}
    spread = {n: np.zeros((8, 6)) for n in own}
    for step in range(1, steps + 1):
        for n, x in inputs.items():
            out = x @ (u[n] @ v[n] + s[n]).T
            slope = 2 * out.T @ x / out.size  # of the mean square of the outputs, by the whole weight
            gu, gv = slope @ v[n].T, u[n].T @ slope
            for i in range(8):
                for j in range(6):
                    sensitivity = abs(s[n][i, j] * slope[i, j])
                    mean[n][i, j] = 0.85 * mean[n][i, j] + 0.15 * sensitivity
                    spread[n][i, j] = 0.85 * spread[n][i, j] + 0.15 * abs(sensitivity - mean[n][i, j])
            u[n], v[n], s[n] = u[n] - rate * gu, v[n] - rate * gv, s[n] - rate * slope
        if step <= 2:
            share = 1.0
        elif step > 9:
            share = 0.25
        else:
            share = 0.25 + 0.75 * (1 - (step - 2) / 7) ** 3
        if step > 9 or (step > 2 and step % 2 == 0):
            scores = {(n, i): np.mean(mean[n][i] * spread[n][i]) for n in own for i in range(8)}
            for n, i in sorted(scores, key=scores.get)[: round((1 - share) * 16)]:
                s[n][i] = 0
    return {n: (u[n], v[n], s[n]) for n in own}


def test_a_training_is_the_transcribed_one():
    own, rate = layers(), 0.5
    expected = transcribed(own, rate, 12)
    parameters = [p for layer in own.values() for p in layer.parameters()]
    optimizer, pruning = torch.optim.SGD(parameters, lr=rate), ResidualPruning(own, RULE)
    inputs = random(20, 6, seed=7)
    for _ in range(12):
        optimizer.zero_grad()
        sum(layer(inputs).square().mean() for layer in own.values()).backward()
        pruning.observe()
        optimizer.step()
        pruning.prune()
    for name, layer in own.items():
        for ours, theirs in zip((layer.left, layer.right, layer.residual), expected[name], strict=True):
            torch.testing.assert_close(ours.detach(), torch.from_numpy(theirs), rtol=1e-9, atol=1e-12)
    kept = sum(int(layer.residual.any(1).sum()) for layer in own.values())
    assert kept == 4  # a quarter of sixteen rows


def test_the_share_falls_from_all_to_the_final_one():
    shares = [RULE.share(step) for step in range(1, 13)]
    assert shares[:2] == [1.0, 1.0] and shares[-3:] == [0.25] * 3
    assert shares == sorted(shares, reverse=True)
    assert shares[5] == pytest.approx(0.25 + 0.75 * (1 - 4 / 7) ** 3)


def test_a_row_that_went_may_come_back():
    own = layers()
    pruning = ResidualPruning(own, LoSparse(steps=1, final=0.5))
    sum(layer(random(20, 6)).square().mean() for layer in own.values()).backward()
    pruning.observe()
    pruning.prune()
    gone = ~own["a"].residual.any(1)
    assert gone.any() and own["a"].residual.grad[gone].any()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"first": 8, "last": 4}, "leave at least one step"),
        ({"every": 0}, "leave at least one step"),
        ({"final": 0.0}, "final is 0.0"),
        ({"sensitivity": 1.0}, "sensitivity is 1.0"),
        ({"uncertainty": float("nan")}, "uncertainty is nan"),
    ],
)
def test_schedules_that_are_none_are_refused(changed, words):
    with pytest.raises(ValueError, match=words):
        LoSparse(steps=12, **changed)


def test_layers_without_residual_or_gradient_are_refused():
    plain = LowRankLinear(torch.ones(3, 1), torch.ones(1, 3), None)
    with pytest.raises(ValueError, match="q has no residual"):
        ResidualPruning({"q": plain}, RULE)
    with pytest.raises(ValueError, match="residual of a has no gradient; observe after the backward pass"):
        ResidualPruning(layers(), RULE).observe()
