"""An interpolated Kneser–Ney n-gram model: the baseline that a trained teacher must beat before it may judge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
MOST_BITS = 63
"""Bits of an n-gram packed into one integer, at most."""


@dataclass(frozen=True)
class _Order:
    """One order's n-grams and their contexts, each sorted by code."""

    grams: Codes
    counts: Floats
    contexts: Codes
    totals: Floats
    """Counts that follow each context."""
    kinds: Floats
    """Different tokens that follow each context."""
    discount: float


class KneserNey:
    """Token probabilities from n-gram counts with absolute discounting (Chen & Goodman 1999, eq. 27).

    The highest order counts occurrences, lower ones count the different tokens before an n-gram. Each order's
    discount is n1 / (n1 + 2 n2). Below one token stands the uniform distribution.
    """

    def __init__(self, tokens: Codes, *, vocabulary: int, order: int = 5) -> None:
        """Count the n-grams of one token sequence `[tokens]`.

        Raises:
            ValueError: the sequence is shorter than the order, holds tokens outside the vocabulary, or `order`
                tokens do not fit into 63 bits.
        """
        self.bits = max(1, (vocabulary - 1).bit_length())
        if order < 1 or order * self.bits > MOST_BITS:
            needed = order * self.bits
            raise ValueError(f"{order}-grams of {vocabulary} tokens need {needed} bits, more than {MOST_BITS}")
        tokens = np.asarray(tokens, dtype=np.int64)
        if len(tokens) < order:
            raise ValueError(f"{len(tokens)} tokens hold no {order}-gram; give more text")
        if tokens.min() < 0 or tokens.max() >= vocabulary:
            raise ValueError(f"tokens run from {tokens.min()} to {tokens.max()}, outside a vocabulary of {vocabulary}")
        self.vocabulary, self.order = vocabulary, order
        counted = np.unique(self._packed(tokens, order), return_counts=True)
        self.orders: list[_Order] = []
        for n in range(order, 0, -1):
            if n < order:  # a lower order counts the kinds of n + 1-grams that end in it
                counted = np.unique(counted[0] & ((1 << (n * self.bits)) - 1), return_counts=True)
            self.orders.insert(0, self._order(*counted))

    def _packed(self, tokens: Codes, n: int) -> Codes:
        """Codes of the n-grams, one integer each with the oldest token highest, `[tokens - n + 1]`."""
        packed = np.zeros(len(tokens) - n + 1, dtype=np.int64)
        for i in range(n):
            packed = (packed << self.bits) | tokens[i : len(tokens) - n + 1 + i]
        return packed

    def _order(self, grams: Codes, counts: Codes) -> _Order:
        contexts, starts = np.unique(grams >> self.bits, return_index=True)
        once, twice = (counts == 1).sum(), (counts == 2).sum()
        discount = once / (once + 2 * twice) if once else 0.0
        kinds = np.diff(np.append(starts, len(grams)))
        totals = np.add.reduceat(counts, starts)
        return _Order(grams, counts.astype(float), contexts, totals.astype(float), kinds.astype(float), float(discount))

    def probabilities(self, tokens: Codes) -> Floats:
        """Probability of every token given up to `order - 1` before it; the first has none, `[tokens]`."""
        tokens = np.asarray(tokens, dtype=np.int64)
        smoothed = np.full(len(tokens), 1 / self.vocabulary)
        for n, order in enumerate(self.orders, 1):
            if len(tokens) < n:
                break
            grams = self._packed(tokens, n)
            counts = _looked_up(order.grams, order.counts, grams)
            totals = _looked_up(order.contexts, order.totals, grams >> self.bits)
            kinds = _looked_up(order.contexts, order.kinds, grams >> self.bits)
            seen = totals > 0
            higher = np.maximum(counts - order.discount, 0) + order.discount * kinds * smoothed[n - 1 :]
            smoothed[n - 1 :] = np.where(seen, higher / np.where(seen, totals, 1), smoothed[n - 1 :])
        return smoothed


def _looked_up(keys: Codes, values: Floats, wanted: Codes) -> Floats:
    places = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0.0)
