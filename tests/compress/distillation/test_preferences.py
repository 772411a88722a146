import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compress.distillation.preferences import (
    continuation_log_probability,
    preference_loss,
    preferred_and_other,
    tied,
)

LOGS = st.floats(-50, 0, width=32)
PAIRS = st.lists(st.tuples(LOGS, LOGS, LOGS, LOGS), min_size=1, max_size=5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(PAIRS, st.floats(0.01, 2))
def test_loss_is_the_papers_equation(pairs: list[tuple[float, ...]], beta: float) -> None:
    values = np.array(pairs, dtype=np.float64)
    margins = beta * ((values[:, 0] - values[:, 2]) - (values[:, 1] - values[:, 3]))
    wanted = np.logaddexp(0, -margins).mean()
    policy, reference = torch.tensor(values[:, :2]), torch.tensor(values[:, 2:])
    assert float(preference_loss(policy, reference, beta)) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@given(PAIRS)
def test_at_equal_log_ratios_it_is_ln_2(pairs: list[tuple[float, ...]]) -> None:
    policy = torch.tensor(pairs, dtype=torch.float64)[:, :2]
    assert float(preference_loss(policy, policy.clone())) == pytest.approx(math.log(2), rel=1e-12)


def test_gradient_moves_both_sides_by_beta_times_how_wrong_the_pair_is() -> None:
    # d/dx of -log σ(β m) is -β σ(-β m) for the preferred one, and the opposite for the other (eq. 7's gradient).
    policy = torch.tensor([[-3.0, -1.0]], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([[-2.0, -2.5]], dtype=torch.float64)
    preference_loss(policy, reference, 0.5).backward()
    margin = 0.5 * ((-3.0 + 2.0) - (-1.0 + 2.5))
    size = 0.5 / (1 + math.exp(margin))
    assert policy.grad is not None
    assert policy.grad[0].tolist() == pytest.approx([-size, size])


def test_no_gradient_goes_to_the_reference() -> None:
    reference = torch.zeros(2, 2, requires_grad=True)
    preference_loss(torch.zeros(2, 2, requires_grad=True), reference).backward()
    assert reference.grad is None


@pytest.mark.parametrize("beta", [0.0, -1.0, math.nan, math.inf])
def test_beta_that_is_none_is_refused(beta: float) -> None:
    with pytest.raises(ValueError, match="it must be above 0 and finite"):
        preference_loss(torch.zeros(1, 2), torch.zeros(1, 2), beta)


def test_shapes_and_infinities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"give \[pairs, 2\]"):
        preference_loss(torch.zeros(3), torch.zeros(3))
    with pytest.raises(ValueError, match="not finite"):
        preference_loss(torch.tensor([[0.0, -torch.inf]]), torch.zeros(1, 2))


def test_log_probability_of_a_continuation_is_the_sum_over_its_tokens() -> None:
    tokens = torch.randint(0, 7, (3, 6), generator=generator())
    logits = torch.randn(3, 6, 7, generator=generator(1), dtype=torch.float64)
    found = continuation_log_probability(logits, tokens, prompt=2)
    for row in range(3):
        total = 0.0
        for place in range(2, 6):
            scores = logits[row, place - 1].numpy()
            total += scores[tokens[row, place]] - np.log(np.exp(scores).sum())
        assert float(found[row]) == pytest.approx(total, rel=1e-6)  # worked out in float32


@pytest.mark.parametrize("prompt", [0, 6])
def test_a_prompt_needs_a_continuation(prompt: int) -> None:
    with pytest.raises(ValueError, match="leave at least one for each side"):
        continuation_log_probability(torch.zeros(1, 6, 7), torch.zeros(1, 6, dtype=torch.long), prompt)


@given(st.integers(1, 5), st.integers(2, 4), st.integers(0, 2**31))
def test_the_best_is_preferred_to_one_that_is_worse(prompts: int, count: int, seed: int) -> None:
    scores = torch.randint(0, 3, (prompts, count), generator=generator(seed)).float()
    scores[tied(scores), 0] += 1
    candidates = torch.arange(prompts * count).view(prompts, count, 1)
    pairs = preferred_and_other(candidates, scores, generator(seed))
    flat = scores.flatten()
    assert torch.equal(flat[pairs[:, 0, 0]], scores.max(1).values)
    assert (flat[pairs[:, 1, 0]] < flat[pairs[:, 0, 0]]).all()


def test_every_worse_candidate_is_drawn() -> None:
    candidates, scores = torch.arange(4).view(1, 4, 1), torch.tensor([[2.0, 3.0, 3.0, 1.0]])
    drawn = {int(preferred_and_other(candidates, scores, generator(seed))[0, 1]) for seed in range(40)}
    assert drawn == {0, 3}


def test_ties_are_refused_and_found() -> None:
    scores = torch.tensor([[1.0, 1.0], [1.0, 2.0]])
    assert tied(scores).tolist() == [True, False]
    with pytest.raises(ValueError, match="1 of 2 prompts have candidates that all tie"):
        preferred_and_other(torch.zeros(2, 2, 3), scores, generator())
    with pytest.raises(ValueError, match="score is not finite"):
        preferred_and_other(torch.zeros(1, 2, 3), torch.tensor([[1.0, math.nan]]), generator())
    with pytest.raises(ValueError, match="give two or more"):
        preferred_and_other(torch.zeros(1, 1, 3), torch.tensor([[1.0]]), generator())
