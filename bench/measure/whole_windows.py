"""Whole windows of documents, read once from their start: the dense model's states and a variant's against them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.measure.divergence import NAMES, compare

Advance = Callable[[int], None]


@dataclass(frozen=True)
class WholeWindows:
    """Windows of one length, every token of which but the first is predicted."""

    tokens: Tensor
    """`[documents, tokens]`."""
    batch_tokens: int = 0
    """Tokens that go through the model at once; 0 for one document."""

    @torch.inference_mode()
    def states(self, forward: Callable[[Tensor], Tensor], advance: Advance = lambda _tokens: None) -> Tensor:
        """Final hidden states at every scored position, `[documents, tokens - 1, width]`, on the CPU.

        Args:
            forward: from tokens `[batch, tokens]` to final hidden states.
            advance: told the number of tokens after each batch.
        """
        parts = []
        for part in self.tokens.split(max(1, self.batch_tokens // self.tokens.shape[1])):
            parts.append(forward(part)[:, :-1].cpu())
            advance(part.numel())
        return torch.cat(parts)

    def against(
        self, head: nn.Linear, states: Tensor, dense: Tensor, *, dense_head: nn.Linear | None = None
    ) -> dict[str, Tensor]:
        """Predictions of a variant against the dense model's, by the names of `Predictions`.

        Args:
            head: from hidden states to logits.
            states: the variant's, `[documents, tokens - 1, width]`.
            dense: the dense model's.
            dense_head: the dense model's own head; by default both have the same.

        Returns:
            float32 tensors `[documents, tokens - 1]`.
        """
        labels = self.tokens[:, 1:]
        flat = states.flatten(0, 1), dense.flatten(0, 1), labels.flatten()
        divergences = compare(head, *flat, dense_head=dense_head)
        return {name: getattr(divergences, name).view(labels.shape) for name in NAMES}
