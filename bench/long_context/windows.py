"""The paired design: the same target tokens under left contexts of growing length.

From each document one segment is taken, `longest context + targets` tokens from its start. Its last `targets`
tokens are scored, once for every context length, each time with only that many tokens to their left. So the
text that is scored never changes along the curve, and a harder passage cannot pose as a longer context.

The pass with the longest context also yields the position-resolved view, at positions that double.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

FIRST_BUCKET = 32
POSITIONS_PER_BUCKET = 16


@dataclass(frozen=True)
class PairedWindows:
    """Segments of documents and the windows cut from them."""

    segments: Tensor
    """`[documents, longest context + targets]`."""
    contexts: tuple[int, ...]
    """Tokens to the left of the first target, ascending."""
    targets: int
    """Scored tokens of a document."""

    @property
    def start(self) -> int:
        """Position of the first target in a segment: the longest context."""
        return self.contexts[-1]

    def tokens(self, context: int) -> Tensor:
        """Tokens that the model reads, `[documents, context + targets - 1]`; the last target is only predicted."""
        return self.segments[:, self.start - context : -1]

    def labels(self) -> Tensor:
        """The target tokens, `[documents, targets]`."""
        return self.segments[:, self.start :]

    def scored(self, context: int) -> Tensor:
        """Positions in `tokens(context)` whose next token is a target, `[targets]`."""
        return torch.arange(context - 1, context - 1 + self.targets)

    def resolved(self) -> Tensor:
        """Positions of the longest window at which the position-resolved view is taken, ascending.

        Sixteen in every bucket 32–64, 64–128, ... before the targets, evenly spaced.
        """
        positions: set[int] = set()
        low = FIRST_BUCKET
        while low < self.start - 1:
            high = min(2 * low, self.start - 1)
            positions.update(torch.linspace(low, high - 1, POSITIONS_PER_BUCKET).round().long().tolist())
            low *= 2
        return torch.tensor(sorted(positions), dtype=torch.long)

    def resolved_labels(self) -> Tensor:
        """The token after each resolved position, `[documents, positions]`."""
        return self.segments[:, self.resolved() + 1]

    @property
    def token_count(self) -> int:
        """Tokens that one curve costs."""
        return len(self.segments) * sum(context + self.targets - 1 for context in self.contexts)


def paired_windows(documents: Sequence[Tensor], contexts: Sequence[int], targets: int) -> PairedWindows:
    """Windows from the start of each document, all of which must hold the longest context and the targets.

    Raises:
        ValueError: fewer than two contexts, contexts that do not ascend from at least 1, or a short document.
    """
    contexts = tuple(contexts)
    if len(contexts) < 2 or contexts[0] < 1 or any(a >= b for a, b in pairwise(contexts)):
        raise ValueError(f"contexts are {contexts}; give at least two lengths in ascending order, from 1 on")
    length = contexts[-1] + targets
    if short := [len(document) for document in documents if len(document) < length]:
        raise ValueError(f"a document has {min(short)} tokens and the windows need {length}; leave it out")
    segments = torch.stack([document[:length] for document in documents])
    return PairedWindows(segments, contexts, targets)
