"""Whole numbers of a few bits each, packed without gaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def pack(numbers: NDArray[np.integer], bits: int) -> Bytes:
    """Bytes that hold whole numbers of `bits` each one after another, the low bits first.

    Args:
        numbers: from 0 to `2^bits - 1`, of any shape.
        bits: 1 to 8.

    Raises:
        ValueError: other bits, or a number that does not fit in them.
    """
    if bits not in range(1, 9):
        raise ValueError(f"bits is {bits}; whole numbers are packed in 1 to 8 bits each")
    flat = np.asarray(numbers).ravel()
    if flat.size and not (0 <= flat.min() and flat.max() < 2**bits):
        raise ValueError(f"numbers from {flat.min()} to {flat.max()} do not fit in {bits} bits; give more bits")
    each = np.unpackbits(flat.astype(np.uint8)[:, None], axis=1, count=bits, bitorder="little")
    return np.packbits(each, bitorder="little")


def unpack(packed: Bytes, bits: int, count: int) -> Bytes:
    """Numbers `[count]` that `pack` has packed.

    Raises:
        ValueError: the bytes are not as many as that takes.
    """
    if len(packed) != -(-count * bits // 8):
        raise ValueError(f"{count:,} numbers of {bits} bits take {-(-count * bits // 8):,} bytes, not {len(packed):,}")
    each = np.unpackbits(packed, count=count * bits, bitorder="little").reshape(count, bits)
    return np.packbits(each, axis=1, bitorder="little")[:, 0] if count else np.zeros(0, np.uint8)
