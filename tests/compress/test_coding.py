"""Deep Compression: its size is that of real Huffman codes, and what they code comes back exactly."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from compress.coding import Coded, DeepCompression, code, code_lengths, shared_values


def canonical_codes(lengths):
    """Codes that lengths alone determine, as strings of bits: shorter first, then by symbol."""
    codes, code, last = {}, 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        code <<= length - last
        codes[symbol], last = format(code, f"0{length}b"), length
        code += 1
    return codes


def encode(stream, symbols):
    """Stream of symbols as a string of Huffman-coded bits."""
    codes = canonical_codes(code_lengths(np.bincount(stream, minlength=symbols).tolist()))
    return "".join(codes[symbol] for symbol in stream.tolist())


def decode(bits, lengths):
    """Symbols of a string of bits, given the lengths of their codes."""
    symbols = {code: symbol for symbol, code in canonical_codes(lengths).items()}
    decoded, start = [], 0
    for end in range(1, len(bits) + 1):
        if (symbol := symbols.get(bits[start:end])) is not None:
            decoded.append(symbol)
            start = end
    if start != len(bits):
        raise ValueError(f"{len(bits) - start} bits at the end are no code; the stream is cut off")
    return np.array(decoded, dtype=np.int64)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30).filter(any))
@settings(max_examples=100)
def test_huffman_is_prefix_free_and_no_longer_than_flat(counts):
    lengths = code_lengths(counts)
    used = [length for length in lengths if length]
    assert sum(2.0**-length for length in used) == (1 if len(used) > 1 else 0.5)  # Kraft, with equality
    codes = canonical_codes(lengths)
    assert not any(a != b and b.startswith(a) for a in codes.values() for b in codes.values())
    total, p = sum(counts), np.array([c for c in counts if c]) / sum(counts)
    bits = sum(a * b for a, b in zip(counts, lengths, strict=True))
    entropy = float(-(p * np.log2(p)).sum()) * total
    assert entropy - 1e-6 <= bits <= max(entropy + total, total) + 1e-6


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.5, 0.95]), st.sampled_from([2, 4]))
@settings(max_examples=30, deadline=None)
def test_coding_comes_back_exactly(seed, sparsity, bits):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(9, 50, generator=generator)
    weight[torch.rand(9, 50, generator=generator) < sparsity] = 0
    if not weight.any():
        weight[8, 49] = 1
    coded = code(weight, bits)
    sizes = (2**bits + 1, 32)
    streams = [encode(stream, size) for stream, size in zip((coded.values, coded.gaps), sizes, strict=True)]
    symbols = [
        decode(stream, code_lengths(np.bincount(original, minlength=size).tolist()))
        for stream, original, size in zip(streams, (coded.values, coded.gaps), sizes, strict=True)
    ]
    again = Coded(coded.shape, coded.centres, *symbols).weight()
    assert (again == coded.weight()).all()
    assert ((again != 0) == (weight.numpy() != 0)).all() or 0 in coded.centres
    tables = (2**bits + 1 + 32) * 8 + 2**bits * 32
    assert coded.bits() == sum(map(len, streams)) + tables
    nearest = torch.from_numpy(coded.centres)[:, None].sub(weight[weight != 0]).abs().amin(0)
    torch.testing.assert_close((torch.from_numpy(again) - weight)[weight != 0].abs(), nearest, rtol=1e-4, atol=1e-6)


def test_shared_values_settle_and_never_worsen():
    values = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    centres, chosen = shared_values(values, 8)
    means = torch.stack([values[chosen == k].mean() for k in range(8)])
    torch.testing.assert_close(centres, means, rtol=1e-2, atol=1e-2)
    grid = torch.linspace(float(values.min()), float(values.max()), 8)
    flat = (values[:, None] - grid).abs().amin(1).square().mean()
    assert (values - centres[chosen]).square().mean() < flat / 2
    alone, place = shared_values(torch.tensor([2.0, 2.0]), 4)
    assert alone[place].tolist() == [2, 2]


def test_deep_compression_counts_what_it_codes():
    layer = nn.Linear(64, 32)
    coded = DeepCompression(0.9, 4)(layer)
    assert coded.sparsity() == pytest.approx(0.9, abs=1e-3)
    assert len(coded.weight.unique()) <= 17
    assert coded.storage.bits_per_weight < 2
    with pytest.raises(ValueError, match="nothing to code"):
        code(torch.zeros(3, 3), 4)
    with pytest.raises(ValueError, match="cut off"):
        decode("1", [2, 2, 2, 2])
