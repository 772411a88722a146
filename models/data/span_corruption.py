"""T5's i.i.d. span corruption (Raffel et al. 2020, §3.1.4): replace spans of tokens by sentinels, predict the spans."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NOISE_DENSITY, MEAN_SPAN = 0.15, 3.0


def noise_spans(
    length: int, generator: np.random.Generator, *, density: float = NOISE_DENSITY, mean_span: float = MEAN_SPAN
) -> np.ndarray:
    """Mask of the noise tokens, boolean `[length]`: as many spans as the density and their mean length ask, at random.

    The first token is never noise and the last always is, as in T5: spans of both kinds alternate.

    Raises:
        ValueError: fewer than two tokens, a density outside (0, 1), or a mean span under one token.
    """
    if length < 2:
        raise ValueError(f"{length} token(s) cannot hold both text and noise; give at least 2")
    if not 0 < density < 1 or not mean_span >= 1:
        raise ValueError(f"noise density {density} and mean span {mean_span}: give one in (0, 1) and at least 1")
    noise = min(max(round(length * density), 1), length - 1)
    spans = min(max(round(noise / mean_span), 1), noise, length - noise)
    kept_lengths = _partition(length - noise, spans, generator)
    noise_lengths = _partition(noise, spans, generator)
    lengths = np.stack([kept_lengths, noise_lengths], axis=1).ravel()
    return np.repeat(np.arange(2 * spans) % 2 == 1, lengths)


def _partition(total: int, parts: int, generator: np.random.Generator) -> np.ndarray:
    """`total` as a sum of `parts` positive numbers, all such sums alike in probability."""
    cuts = np.sort(generator.choice(total - 1, parts - 1, replace=False) + 1) if parts > 1 else np.zeros(0, dtype=int)
    return np.diff(np.concatenate([[0], cuts, [total]]))


def corrupt(
    tokens: Sequence[int], noise: np.ndarray, *, first_sentinel: int, end: int, sentinels: int = 100
) -> tuple[list[int], list[int]]:
    """The encoder's input and the decoder's target.

    In the input every span of noise is one sentinel; in the target every span of text is. Sentinels count down from
    `first_sentinel`, as T5's `<extra_id_0>`, `<extra_id_1>`, ... do; both end with `end`.

    Raises:
        ValueError: the mask is of another length, or there are more spans than sentinels.
    """
    if len(noise) != len(tokens):
        raise ValueError(f"a mask of {len(noise)} for {len(tokens)} tokens")
    starts = noise & ~np.concatenate([[False], noise[:-1]])
    if (count := int(starts.sum())) > sentinels:
        raise ValueError(f"{count} spans need as many sentinels and there are {sentinels}; corrupt shorter texts")
    inputs: list[int] = []
    target: list[int] = []
    span = -1
    for token, is_noise, start in zip(tokens, noise, starts, strict=True):
        if start:
            span += 1
            inputs.append(first_sentinel - span)
            target.append(first_sentinel - span)
        (target if is_noise else inputs).append(int(token))
    return [*inputs, end], [*target, end]
