"""Measurements of one variant along context, and the kinds of variants there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from bench.verdict.documents import Array
from compress.swap import Compression


class CacheFormat(Protocol):
    """Variant that changes what the key/value cache holds and no layer."""

    def rounded(self, states: Tensor) -> Tensor:
        """Keys or values `[batch, heads, tokens, width]` as the cache holds them."""
        ...


@dataclass(frozen=True)
class Measured:
    """A variant's means by document and context, with what it cost and what was compressed."""

    method: str
    contexts: tuple[int, ...]
    means: dict[str, Array]
    """Means by the names of `Predictions`, `[documents, contexts]`."""
    positions: Array
    """Positions of the position-resolved view, `[positions]`."""
    resolved: Array
    """KL at those positions, `[documents, positions]`."""
    summary: dict[str, float]

    @property
    def kl(self) -> Array:
        """KL by document and context, `[documents, contexts]`."""
        return self.means["kl"]

    @property
    def loss(self) -> float:
        """Mean loss over documents and contexts, nats a token."""
        return float(self.means["loss"].mean())


def summary_of(outcome: Compression) -> dict[str, float]:
    """Counts and sizes of a compressed model."""
    storage = outcome.storage
    return {
        "layers": len(outcome.compressed),
        "skipped": len(outcome.skipped),
        "noted": sum(bool(layer.note) for layer in outcome.compressed),
        "sparsity": outcome.sparsity,
        "bits_per_weight": storage.bits_per_weight,
        "packed_bytes": storage.total_bits / 8,
        "held_bytes": storage.held_bits / 8,
        "simulated": float(storage.simulated),
    }
