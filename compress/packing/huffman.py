"""Streams of symbols under canonical Huffman codes, which the codes' lengths alone determine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compress.coding import code_lengths
from compress.packing.bits import Bytes

Symbols = NDArray[np.int64]
MOST_BITS = 48
"""Longest code that is read back: a stream of 10^10 symbols has none that is longer."""


def lengths_of(symbols: Symbols, alphabet: int) -> Bytes:
    """Bits of each symbol's code `[alphabet]`, 0 where it does not occur."""
    return np.array(code_lengths(np.bincount(symbols, minlength=alphabet).tolist()), dtype=np.uint8)


def canonical(lengths: Bytes) -> Symbols:
    """Codes `[alphabet]`: ascending numbers within a length, in order of symbols, a bit longer each time it grows."""
    codes, code, before = np.zeros(len(lengths), np.int64), 0, 0
    for symbol in np.lexsort((np.arange(len(lengths)), lengths)):
        if length := int(lengths[symbol]):
            code <<= length - before
            codes[symbol], before = code, length
            code += 1
    return codes


def encode(symbols: Symbols, lengths: Bytes) -> Bytes:
    """Bytes of a stream, each code with its first bit first."""
    codes, own = canonical(lengths)[symbols], lengths[symbols].astype(np.int64)
    starts = np.cumsum(own) - own
    stream = np.zeros(int(own.sum()), np.uint8)
    for place in range(int(lengths.max(initial=0))):
        holds = own > place
        stream[starts[holds] + place] = codes[holds] >> (own[holds] - 1 - place) & 1
    return np.packbits(stream)


def decode(packed: Bytes, lengths: Bytes, count: int) -> Symbols:
    """Symbols `[count]` of a stream.

    What a code would mean is looked up for all places at once; only the way from each code to the next is a loop.

    Raises:
        ValueError: the stream ends early, or holds what is no code.
    """
    symbols, widths = _at_every_place(np.unpackbits(packed), lengths)
    read, place, jumps, found = np.empty(count, np.int64), 0, widths.tolist(), symbols.tolist()
    for number in range(count):
        if place >= len(jumps) or not jumps[place]:
            raise ValueError(f"the stream holds {number:,} symbols and {count:,} were to be read; its file is damaged")
        read[number] = found[place]
        place += jumps[place]
    return read


def _at_every_place(stream: Bytes, lengths: Bytes) -> tuple[Symbols, Symbols]:
    """Symbol of the code that begins at each bit, and its length; 0 where there is none."""
    longest = int(lengths.max(initial=0))
    if longest > MOST_BITS:
        raise ValueError(f"a code has {longest} bits and {MOST_BITS} are read; its table is damaged")
    codes = canonical(lengths)
    symbols, widths = np.zeros(len(stream), np.int64), np.zeros(len(stream), np.int64)
    window = np.zeros(len(stream), np.int64)
    for length in range(1, longest + 1):
        window = (window << 1)[: len(stream) - length + 1] | stream[length - 1 :]
        own = np.flatnonzero(lengths == length)
        if not len(own) or not len(window):
            continue
        first = codes[own[0]]  # codes of one length are neighbours
        among = (window >= first) & (window < first + len(own)) & (widths[: len(window)] == 0)
        places = np.flatnonzero(among)
        symbols[places], widths[places] = own[window[places] - first], length
    return symbols, widths
