"""Direct preference optimization (Rafailov et al. 2023), by which Zephyr distils a teacher's preferences."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

BETA = 0.1
"""Strength of the pull to the reference (Tunstall et al. 2023, §4.1)."""


def continuation_log_probability(logits: Tensor, tokens: Tensor, prompt: int) -> Tensor:
    """Log-probability of what follows the prompt, summed over its tokens, in nats.

    Args:
        logits: `[batch, tokens, vocabulary]`, of the tokens themselves.
        tokens: `[batch, tokens]`, prompt and continuation.
        prompt: tokens of the prompt, at least one.

    Returns:
        `[batch]`.

    Raises:
        ValueError: no prompt, or nothing after it.
    """
    if not 0 < prompt < tokens.shape[1]:
        raise ValueError(f"the prompt has {prompt} of {tokens.shape[1]} tokens; leave at least one for each side")
    predicted = functional.log_softmax(logits[:, prompt - 1 : -1].float(), dim=-1)
    return predicted.gather(-1, tokens[:, prompt:, None]).squeeze(-1).sum(-1)


def preference_loss(policy: Tensor, reference: Tensor, beta: float = BETA) -> Tensor:
    """Preference loss `-log σ(β (log π(y_w)/π_ref(y_w) - log π(y_l)/π_ref(y_l)))`, a mean over pairs (eq. 7).

    Args:
        policy: log-probabilities of the trained model, `[pairs, 2]`: of the preferred and of the other continuation.
        reference: those of the model that it started from, of the same shape; no gradient goes there.
        beta: β.

    Raises:
        ValueError: β is not above 0, the shapes are no pairs, or a log-probability is not finite.
    """
    if not (beta > 0 and math.isfinite(beta)):
        raise ValueError(f"β is {beta}; it must be above 0 and finite")
    if policy.shape != reference.shape or policy.ndim != 2 or policy.shape[1] != 2:
        raise ValueError(f"log-probabilities are {tuple(policy.shape)} and {tuple(reference.shape)}; give [pairs, 2]")
    if not (policy.isfinite().all() and reference.isfinite().all()):
        raise ValueError("a log-probability is not finite; a continuation is impossible under one of the models")
    ratios = policy - reference.detach()
    return -functional.logsigmoid(beta * (ratios[:, 0] - ratios[:, 1])).mean()


def preferred_and_other(candidates: Tensor, scores: Tensor, generator: torch.Generator) -> Tensor:
    """Pair of each prompt: the candidate with the highest score, and one of the others at random.

    This is how Zephyr makes pairs of four scored candidates (Tunstall et al. 2023, §3). Candidates with the highest
    score's equal are no others; of equal best ones the first is preferred.

    Args:
        candidates: `[prompts, candidates, tokens]`.
        scores: `[prompts, candidates]`, the teacher's.
        generator: draws the others.

    Returns:
        `[prompts, 2, tokens]`.

    Raises:
        ValueError: fewer than two candidates, a score that is not finite, or a prompt whose candidates all tie.
    """
    if scores.ndim != 2 or scores.shape[1] < 2 or scores.shape != candidates.shape[:2]:
        raise ValueError(f"{tuple(scores.shape)} scores of {tuple(candidates.shape[:2])} candidates; give two or more")
    if not scores.isfinite().all():
        raise ValueError("a candidate's score is not finite; nothing can be preferred to it")
    best = scores.argmax(1)
    worse = scores < scores.gather(1, best[:, None])
    if ties := int((~worse.any(1)).sum()):
        raise ValueError(f"{ties} of {len(scores)} prompts have candidates that all tie; leave them out (see `tied`)")
    other = torch.multinomial(worse.float(), 1, generator=generator)[:, 0]
    rows = torch.arange(len(scores))
    return torch.stack([candidates[rows, best], candidates[rows, other]], dim=1)


def tied(scores: Tensor) -> Tensor:
    """Mask `[prompts]` of those whose candidates all have one score, `[prompts, candidates]`."""
    return (scores == scores[:, :1]).all(1)
