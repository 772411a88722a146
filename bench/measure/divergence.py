"""Divergence of one model's predictions from another's, token by token, from final hidden states.

The output matrix is not compressed, so a dense model's final hidden states (576 numbers a token for SmolLM2)
stand for its logits (49,152): logits are recomputed for a few tokens at a time and never held for a context.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

CHUNK_BYTES = 24 << 20
"""Bytes of a chunk's logits; four such buffers are alive at once (both distributions, their gap, their difference)."""


@dataclass(frozen=True)
class Predictions:
    """Comparison of predictions, per token, in nats or shares. p is the compressed model, q the dense one."""

    kl: Tensor
    """D(p‖q), the paper's direction (Wang et al. 2024, eq. 6)."""
    reverse_kl: Tensor
    """D(q‖p)."""
    agreement: Tensor
    """1 where both have the same most likely token, else 0."""
    loss: Tensor
    """-ln p(next token)."""
    dense_loss: Tensor
    """-ln q(next token)."""


NAMES = tuple(f.name for f in fields(Predictions))


@torch.inference_mode()
def compare(
    head: nn.Linear, hidden: Tensor, dense_hidden: Tensor, labels: Tensor, *, dense_head: nn.Linear | None = None
) -> Predictions:
    """Compare both models' predictions with each other and with the text.

    Args:
        head: from hidden states to logits.
        hidden: the compressed model's final hidden states, `[tokens, width]`.
        dense_hidden: the dense model's, `[tokens, width]`.
        labels: `[tokens]`, the token that follows each.
        dense_head: the dense model's own; by default both have the same.

    Returns:
        Five float32 tensors `[tokens]`. Memory is four chunks of logits, whatever the number of tokens.
    """
    chunk = max(1, CHUNK_BYTES // (4 * head.weight.shape[0]))
    parts = [
        _compare((head, dense_head or head), *(x.to(head.weight.device) for x in part))
        for part in zip(hidden.split(chunk), dense_hidden.split(chunk), labels.split(chunk), strict=True)
    ]
    return Predictions(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))


def log_probabilities(head: nn.Linear, hidden: Tensor) -> Tensor:
    """Natural log of the next token's probabilities, `[tokens, width]` -> float32 `[tokens, vocabulary]`."""
    logits = head(hidden.to(head.weight.dtype)).float()
    return logits.sub_(logits.logsumexp(-1, keepdim=True))


def _compare(
    heads: tuple[nn.Linear, nn.Linear], hidden: Tensor, dense_hidden: Tensor, labels: Tensor
) -> tuple[Tensor, ...]:
    log_p, log_q = (log_probabilities(*pair) for pair in zip(heads, (hidden, dense_hidden), strict=True))
    agreement = (log_p.argmax(-1) == log_q.argmax(-1)).float()
    loss, dense_loss = (-x.gather(1, labels[:, None])[:, 0] for x in (log_p, log_q))
    gap = log_p - log_q
    p, q = log_p.exp_(), log_q.exp_()
    # Each distribution sums to one only up to rounding. Written as sum(p gap - p + q), that error is of second
    # order, and the difference of nearly equal numbers is taken before anything is summed.
    surplus = p - q
    forward = p.mul_(gap).sub_(surplus).sum(-1)
    reverse = -q.mul_(gap).sub_(surplus).sum(-1)
    return forward, reverse, agreement, loss, dense_loss
