"""Size of compressed layers on disk, counted from its own codes, scales, zero points and masks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Storage:
    """Bits of one or more layers, by what they are spent on."""

    weights: int
    """Number of weights they stand for."""
    value_bits: int
    """Bits for codes, or for the values that were kept."""
    scale_bits: int = 0
    zero_point_bits: int = 0
    mask_bits: int = 0
    """Bits that say which weights were kept, or which groups have which precision."""
    held_bits: int = 0
    """Bits in memory now: simulated compression holds every weight at full width."""

    @property
    def total_bits(self) -> int:
        """Sum of all bits, packed."""
        return self.value_bits + self.scale_bits + self.zero_point_bits + self.mask_bits

    @property
    def bits_per_weight(self) -> float:
        """Packed bits over weights; NaN for no weights at all."""
        return self.total_bits / self.weights if self.weights else float("nan")

    @property
    def simulated(self) -> bool:
        """True where nothing was packed: the layer holds more than its compressed form would."""
        return self.held_bits > self.total_bits

    def __add__(self, other: Storage) -> Storage:
        return Storage(
            self.weights + other.weights,
            self.value_bits + other.value_bits,
            self.scale_bits + other.scale_bits,
            self.zero_point_bits + other.zero_point_bits,
            self.mask_bits + other.mask_bits,
            self.held_bits + other.held_bits,
        )


def element_bits(tensor: Tensor) -> int:
    """Bits of one element of a tensor's dtype."""
    return tensor.element_size() * 8


def dense_storage(weight: Tensor) -> Storage:
    """Size of a weight that is kept as it is."""
    bits = weight.numel() * element_bits(weight)
    return Storage(weights=weight.numel(), value_bits=bits, held_bits=bits)


def sparse_storage(weight: Tensor, *, index_bits: int | None = None) -> Storage:
    """Size of a pruned weight: the values that are not zero, and where they stand.

    Args:
        weight: with its zeros.
        index_bits: bits of position for each kept value (2 in 2:4 sparsity); None for a mask of one bit a weight.
    """
    kept = int(weight.count_nonzero())
    return Storage(
        weights=weight.numel(),
        value_bits=kept * element_bits(weight),
        mask_bits=weight.numel() if index_bits is None else kept * index_bits,
        held_bits=weight.numel() * element_bits(weight),
    )


def total(storages: Iterable[Storage]) -> Storage:
    """Sum of several layers' storage."""
    return sum(storages, start=Storage(weights=0, value_bits=0))
