"""A variant's divergence from the dense model along context, measured in one pass a window.

The dense model runs once for all variants: its final hidden states at the scored positions are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.long_context.windows import PairedWindows
from bench.measure.divergence import NAMES, compare
from models.load import Decoder

Array = NDArray[np.floating]
BATCH_TOKENS = {"cpu": 2048, "cuda": 32_768}
"""Tokens that go through the model at once; windows longer than that go alone."""
Advance = Callable[[int], None]
Forward = Callable[[Tensor], Tensor]
"""Function from tokens `[batch, tokens]` to final hidden states `[batch, tokens, width]`."""


@dataclass(frozen=True)
class HiddenStates:
    """Final hidden states where predictions are scored."""

    by_context: dict[int, Tensor]
    """context -> `[documents, targets, width]`."""
    resolved: Tensor
    """`[documents, positions, width]` of the longest window."""


@dataclass(frozen=True)
class Curve:
    """Per-token measurements of a variant against the dense model, and where they were taken."""

    contexts: tuple[int, ...]
    tokens: dict[str, Array]
    """Values by the names of `Predictions`: `[documents, contexts, targets]`."""
    positions: Array
    """`[positions]` of the resolved view."""
    resolved: Array
    """KL at those positions, `[documents, positions]`."""

    def by_document(self, name: str = "kl") -> Array:
        """Means over a document's targets, `[documents, contexts]`."""
        return self.tokens[name].mean(-1)


def batches(tokens: Tensor, most_tokens: int) -> Iterator[Tensor]:
    """Slices of `[documents, length]` of at most `most_tokens` tokens, or one document."""
    yield from tokens.split(max(1, most_tokens // tokens.shape[1]))


@torch.inference_mode()
def hidden_states(
    decoder: Decoder,
    windows: PairedWindows,
    *,
    forward: Forward | None = None,
    batch_tokens: int | None = None,
    advance: Advance = lambda n: None,
) -> HiddenStates:
    """Run every window once and keep the final hidden states at its scored positions.

    Args:
        decoder: dense or compressed.
        windows: what to read.
        forward: reads them; by default the decoder as it is.
        batch_tokens: tokens at once; by default what suits the device.
        advance: told the number of tokens after each batch.
    """
    most = batch_tokens or BATCH_TOKENS[decoder.device.type]
    resolved = windows.resolved()
    by_context: dict[int, Tensor] = {}
    last = torch.empty(0)
    for context in windows.contexts:
        positions = windows.scored(context)
        if context == windows.contexts[-1]:
            positions = torch.cat([resolved, positions])
        kept = []
        for batch in batches(windows.tokens(context), most):
            kept.append((forward or decoder.hidden)(batch)[:, positions.to(decoder.device)].clone())
            advance(batch.numel())
        last = torch.cat(kept)
        by_context[context] = last[:, -windows.targets :]
    return HiddenStates(by_context, last[:, : len(resolved)])


def curve(decoder: Decoder, windows: PairedWindows, dense: HiddenStates, variant: HiddenStates) -> Curve:
    """Compare a variant's hidden states with the dense model's at every scored position."""
    labels = windows.labels()
    rows: dict[str, list[Array]] = {name: [] for name in NAMES}
    for context in windows.contexts:
        for name, values in _compare(decoder, variant.by_context[context], dense.by_context[context], labels).items():
            rows[name].append(values)
    resolved = _compare(decoder, variant.resolved, dense.resolved, windows.resolved_labels())["kl"]
    tokens = {name: np.stack(values, axis=1) for name, values in rows.items()}
    return Curve(windows.contexts, tokens, windows.resolved().numpy(), resolved)


def _compare(decoder: Decoder, variant: Tensor, dense: Tensor, labels: Tensor) -> dict[str, Array]:
    """Predictions at hidden states `[documents, positions, width]`, each as `[documents, positions]`."""
    result = compare(decoder.head, variant.flatten(0, 1), dense.flatten(0, 1), labels.flatten())
    return {name: getattr(result, name).view(labels.shape).numpy() for name in NAMES}
