"""Deep Compression: its size is that of real Huffman codes, and what they code comes back exactly."""

import itertools
from dataclasses import FrozenInstanceError

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


@pytest.mark.parametrize("gap", [0, 1, 30, 31, 32, 33, 63, 64, 65, 100])
@pytest.mark.parametrize("where", ["before", "between"])
def test_gaps_of_any_length_come_back_with_a_filler_for_every_32_zeros(gap, where):
    weight = torch.zeros(1, 200)
    weight[0, gap if where == "before" else gap + 1] = 2.0
    if where == "between":
        weight[0, 0] = -1.0
    coded = code(weight, 2)
    assert (coded.weight() == weight.numpy()).all()
    fillers = gap // 32
    assert len(coded.values) == fillers + weight.count_nonzero() and (coded.values == 4).sum() == fillers
    assert coded.gaps.max() <= 31 and (coded.gaps[coded.values == 4] == 31).all()


def test_a_code_is_as_short_as_the_best_of_all_prefix_codes():
    """Against every sequence of lengths that a prefix code can have, of five symbols."""
    for counts in ([1, 1, 2, 3, 5], [7, 1, 1, 1, 1], [1, 1, 1, 1, 1], [9, 5, 4, 3, 2], [1, 2, 4, 8, 16]):
        possible = itertools.product(range(1, 5), repeat=5)
        best = min(np.dot(counts, lengths) for lengths in possible if sum(2.0**-length for length in lengths) <= 1)
        assert np.dot(counts, code_lengths(counts)) == best


def test_symbols_that_never_occur_have_no_code_and_a_lone_one_a_bit():
    assert code_lengths([0, 3, 0, 1]) == [0, 1, 0, 1]
    assert code_lengths([0, 5, 0]) == [0, 1, 0]
    assert code_lengths([0, 0]) == [0, 0]


def lloyd(values, count, rounds=50):
    """k-means from evenly spaced centres, one value at a time."""
    values = np.sort(values.astype(np.float64))
    centres = np.linspace(values[0], values[-1], count)
    for _ in range(rounds):
        nearest = np.abs(values[:, None] - centres).argmin(1)
        moved = [values[nearest == k].mean() if (nearest == k).any() else centres[k] for k in range(count)]
        centres = np.sort(moved)
    return centres


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [2, 4, 8, 16])
def test_shared_values_are_those_of_a_slow_k_means(seed, count):
    values = torch.randn(60, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) ** 3
    centres, chosen = shared_values(values, count)
    np.testing.assert_allclose(centres.numpy(), lloyd(values.numpy(), count), rtol=1e-9, atol=1e-12)
    assert torch.equal(chosen, (values[:, None] - centres).abs().argmin(1))


def test_a_centre_of_one_value_moves_to_it():
    centres, _ = shared_values(torch.tensor([0.0, 0.1, 0.2, 0.9, 10.0]), 4)
    assert centres.tolist() == pytest.approx([0.3, 10 / 3, 20 / 3, 10.0])


def test_the_smallest_weights_go_and_the_rest_is_shared():
    layer = nn.Linear(64, 32)
    made, weight = DeepCompression(0.75, 4)(layer), layer.weight.detach()
    kept = made.weight != 0
    assert weight[kept].abs().min() >= weight[~kept].abs().max() and (~kept).sum() == 1536
    coded = code(weight * kept, 4)
    assert made.storage.value_bits == coded.bits() and made.storage.held_bits == 2048 * 32
    assert torch.equal(made.weight, torch.from_numpy(coded.weight()))


def test_names_and_settings():
    assert str(DeepCompression(0.9, 4)) == "deep-compression-0.9-4bits"
    for bad in ({"sparsity": 1.0, "bits": 4}, {"sparsity": 0.5, "bits": 1}):
        with pytest.raises(ValueError, match=r"sparsity is|bits is"):
            DeepCompression(**bad)
    for value, name in ((DeepCompression(0.9, 4), "bits"), (code(torch.ones(2, 2), 2), "gaps")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)
