"""Deep Compression (Han et al. 2016): pruning, shared values, and Huffman codes for values and places."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compress.grid import check_bits
from compress.layers import SimulatedLinear
from compress.method import Method
from compress.selection import check_fraction, removed_count, smallest
from compress.size import Storage, element_bits
from compress.statistics import Statistic

GAP_BITS = 5
"""Bits of the distance to the next kept weight outside convolutions (§2); longer ones take a zero between."""
LENGTH_BITS = 8
"""Bits of one code's length in a canonical Huffman table."""
ROUNDS = 50
"""Most rounds of k-means."""
Integers = NDArray[np.int64]


def shared_values(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Centres of k-means from evenly spaced starts (§3.1), `[count]` ascending, and the number of each value's centre.

    Centres that no number is nearest to stay where they are.
    """
    ordered, places = values.double().sort()
    sums = torch.cat([torch.zeros(1, dtype=torch.float64, device=values.device), ordered.cumsum(0)])
    centres = torch.linspace(float(ordered[0]), float(ordered[-1]), count, dtype=torch.float64, device=values.device)
    ends = places.new_zeros(0)
    for _ in range(ROUNDS):
        inner = torch.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2)
        bounds = torch.cat([inner.new_zeros(1), inner, inner.new_full((1,), len(ordered))])
        if torch.equal(bounds, ends):
            break
        ends, members = bounds, bounds.diff()
        totals = sums[bounds[1:]] - sums[bounds[:-1]]
        centres = torch.where(members > 0, totals / members.clamp_min(1), centres)
        centres = centres.sort().values
    chosen = torch.empty_like(places)
    chosen[places] = torch.bucketize(ordered, (centres[1:] + centres[:-1]) / 2, right=True)
    return centres.to(values.dtype), chosen


def code_lengths(counts: Sequence[int]) -> list[int]:
    """Bits of each symbol's Huffman code, 0 for symbols that never occur; a lone symbol takes one bit."""
    heap = [(count, number, [number]) for number, count in enumerate(counts) if count]
    lengths = [0] * len(counts)
    if len(heap) == 1:
        lengths[heap[0][1]] = 1
        return lengths
    heapq.heapify(heap)
    while len(heap) > 1:
        (first, place, left), (second, _, right) = heapq.heappop(heap), heapq.heappop(heap)
        for symbol in (*left, *right):
            lengths[symbol] += 1
        heapq.heappush(heap, (first + second, place, left + right))
    return lengths


@dataclass(frozen=True)
class Coded:
    """Pruned weight with shared values, as two streams of symbols."""

    shape: tuple[int, int]
    centres: NDArray[np.floating]
    values: Integers
    """Centre of each value, by its number; the one after the last stands for a zero."""
    gaps: Integers
    """Zeros before each value."""

    def bits(self) -> int:
        """Size of both Huffman-coded streams with their tables, and of the centres."""
        total = self.centres.size * self.centres.itemsize * 8
        for stream, symbols in ((self.values, len(self.centres) + 1), (self.gaps, 2**GAP_BITS)):
            counts = np.bincount(stream, minlength=symbols)
            total += int(np.dot(counts, code_lengths(counts.tolist()))) + symbols * LENGTH_BITS
        return total

    def weight(self) -> NDArray[np.floating]:
        """Weight that the streams stand for."""
        flat = np.zeros(self.shape[0] * self.shape[1], dtype=self.centres.dtype)
        places = np.cumsum(self.gaps + 1) - 1
        flat[places] = np.append(self.centres, 0)[self.values]
        return flat.reshape(self.shape)


def code(weight: Tensor, bits: int) -> Coded:
    """Codes a weight with zeros in it with `2^bits` shared values.

    Raises:
        ValueError: a weight of zeros only.
    """
    check_bits(bits)
    flat = weight.detach().flatten()
    places = flat.nonzero().flatten()
    if not len(places):
        raise ValueError("every weight is zero; there is nothing to code")
    centres, chosen = shared_values(flat[places], 2**bits)
    gaps = places.diff(prepend=places.new_full((1,), -1)) - 1
    longest = 2**GAP_BITS
    fillers = gaps // longest  # a filler takes 31 zeros and stands on a 32nd
    ends = (fillers + 1).cumsum(0) - 1
    values = chosen.new_full((int(ends[-1]) + 1,), 2**bits)
    values[ends] = chosen
    all_gaps = gaps.new_full(values.shape, longest - 1)
    all_gaps[ends] = gaps % longest
    return Coded(
        (weight.shape[0], weight.shape[1]), centres.cpu().numpy(), values.cpu().numpy(), all_gaps.cpu().numpy()
    )


@dataclass(frozen=True)
class DeepCompression(Method):
    """Pruning by magnitude, with `2^bits` shared values a layer and its size as Huffman codes."""

    sparsity: float
    bits: int

    def __post_init__(self) -> None:
        check_bits(self.bits)
        check_fraction("sparsity", self.sparsity)

    def __str__(self) -> str:
        return f"deep-compression-{self.sparsity:g}-{self.bits}bits"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> SimulatedLinear:
        """Layer with shared values; its size is that of the coded streams."""
        weight = layer.weight.detach()
        scores = weight.float().abs().view(1, -1)
        mask = smallest(scores, removed_count(self.sparsity, scores.shape[1])).view(weight.shape)
        coded = code(weight.masked_fill(mask, 0), self.bits)
        shared = torch.from_numpy(coded.weight()).to(weight)
        storage = Storage(weight.numel(), value_bits=coded.bits(), held_bits=weight.numel() * element_bits(weight))
        return SimulatedLinear(shared, layer.bias, storage=storage)
