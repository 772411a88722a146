"""Pairs of continuations: sampled and scored by a teacher, or sums of which one is right."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from compress.distillation.preferences import continuation_log_probability, preferred_and_other, tied
from models.sampling import continued

BATCH = 256
PLUS, EQUALS = 10, 11
SUM_PROMPT = 6
"""Tokens of 12+34= before the answer's three."""


@torch.no_grad()
def log_probabilities(model: nn.Module, sequences: Tensor, prompt: int) -> Tensor:
    """Log-probability of each sequence's continuation, `[..., tokens]` -> `[...]`, on the CPU."""
    device, flat = next(model.parameters()).device, sequences.flatten(0, -2)
    parts = [
        continuation_log_probability(model(input_ids=part.to(device)).logits, part.to(device), prompt).cpu()
        for part in flat.split(BATCH)
    ]
    return torch.cat(parts).view(sequences.shape[:-1])


def scored_pairs(
    teacher: PreTrainedModel,
    student: PreTrainedModel,
    prompts: Tensor,
    *,
    continuation: int,
    own: int,
    generator: torch.Generator,
) -> Tensor:
    """Pairs of what the teacher prefers and one of the rest, of its own continuations and of the student's.

    Prompts whose candidates all have one score are left out.

    Args:
        teacher: samples, and scores by its log-probability of a continuation; all have one length.
        student: samples.
        prompts: `[prompts, tokens]`.
        continuation: tokens.
        own: candidates of each model.
        generator: draws.

    Returns:
        `[pairs, 2, tokens + continuation]`.
    """
    models = [teacher] * own + [student] * own
    candidates = torch.stack([continued(model, prompts, continuation, generator) for model in models], dim=1)
    scores = log_probabilities(teacher, candidates, prompts.shape[1])
    clear = ~tied(scores)
    return preferred_and_other(candidates[clear], scores[clear], generator)


def ranked(own: Tensor) -> float:
    """Share of pairs whose preferred one has the larger value, `[pairs, 2]`; of equal ones half count."""
    gap = own[:, 0] - own[:, 1]
    return float(((gap > 0).double() + (gap == 0).double() / 2).mean())


def sums(generator: torch.Generator) -> Tensor:
    """Sums of every two numbers below 100 in a random order, each right and with a wrong answer, `[10000, 2, 9]`.

    A wrong answer differs from the right one in one digit.
    """
    order = torch.randperm(10_000, generator=generator)
    a, b = order // 100, order % 100
    right = _digits(a + b, 3)
    place = torch.randint(0, 3, (len(order), 1), generator=generator)
    change = torch.randint(1, 10, (len(order), 1), generator=generator)
    wrong = right.scatter(1, place, (right.gather(1, place) + change) % 10)
    plus, equals = torch.full((len(order), 1), PLUS), torch.full((len(order), 1), EQUALS)
    asked = torch.cat([_digits(a, 2), plus, _digits(b, 2), equals], dim=1)
    return torch.stack([torch.cat([asked, answer], dim=1) for answer in (right, wrong)], dim=1)


def _digits(numbers: Tensor, count: int) -> Tensor:
    return torch.stack([numbers // 10**power % 10 for power in reversed(range(count))], dim=1)
