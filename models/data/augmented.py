"""More texts to hand a teacher, made of those there are (Tang et al. 2019, §3.3)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

MASKED, SAMPLED, LONGEST = 0.1, 0.25, 5
"""Share of tokens masked, share of texts cut to a run of tokens, and the longest run; the paper's values."""


def augmented(tokens: Tensor, *, copies: int, mask: int, pad: int, seed: int) -> Tensor:
    """Copies `[copies x texts, length]` of token rows, each with tokens masked, and some cut to a short run.

    The paper's third change, another word of the same part of speech, is left out: it takes a tagger.

    Args:
        tokens: `[texts, length]`, the first and the last token of a text being its marks.
        copies: made of every text.
        mask: token that stands for a masked one.
        pad: token of padding.
        seed: decides what is changed.
    """
    draw = np.random.default_rng(seed)
    made = [_changed(row, draw, mask, pad) for _ in range(copies) for row in tokens.numpy()]
    return torch.from_numpy(np.stack(made))


def _changed(row: np.ndarray, draw: np.random.Generator, mask: int, pad: int) -> np.ndarray:
    text, changed = row[row != pad], np.full_like(row, pad)
    inner = text[1:-1].copy()
    inner[draw.random(len(inner)) < MASKED] = mask
    if draw.random() < SAMPLED and len(inner) > 1:
        length = int(draw.integers(1, min(LONGEST, len(inner)) + 1))
        start = int(draw.integers(0, len(inner) - length + 1))
        inner = inner[start : start + length]
    changed[: len(inner) + 2] = [text[0], *inner, text[-1]]
    return changed
