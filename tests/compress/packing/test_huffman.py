import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.packing.huffman import canonical, decode, encode, lengths_of

STREAMS = st.lists(st.integers(0, 9), min_size=1, max_size=60)


@given(STREAMS)
def test_what_is_encoded_comes_back(symbols: list[int]) -> None:
    stream = np.array(symbols)
    lengths = lengths_of(stream, 10)
    assert decode(encode(stream, lengths), lengths, len(stream)).tolist() == symbols


@given(STREAMS)
def test_a_stream_takes_the_sum_of_its_codes(symbols: list[int]) -> None:
    stream = np.array(symbols)
    lengths = lengths_of(stream, 10)
    assert len(encode(stream, lengths)) == -(-int(lengths[stream].sum()) // 8)


@given(STREAMS)
def test_no_code_begins_another(symbols: list[int]) -> None:
    lengths = lengths_of(np.array(symbols), 10)
    written = [f"{code:0{size}b}" for code, size in zip(canonical(lengths), lengths, strict=True) if size]
    assert not any(b.startswith(a) for a in written for b in written if a is not b)


def test_canonical_codes_by_hand() -> None:
    # RFC 1951, section 3.2.2: lengths (3, 3, 3, 3, 3, 2, 4, 4) of A to H.
    lengths = np.array([3, 3, 3, 3, 3, 2, 4, 4], np.uint8)
    assert canonical(lengths).tolist() == [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111]


def test_codes_of_many_lengths_come_back() -> None:
    counts = [2**place for place in range(18)]  # codes of 1 to 17 bits
    stream = np.random.default_rng(0).permutation(np.repeat(np.arange(18), counts))[:5000]
    lengths = lengths_of(stream, 18)
    assert (decode(encode(stream, lengths), lengths, len(stream)) == stream).all()


def test_a_stream_that_ends_early_is_refused() -> None:
    stream = np.arange(8)
    lengths = lengths_of(stream, 8)
    with pytest.raises(ValueError, match="were to be read; its file is damaged"):
        decode(encode(stream, lengths)[:1], lengths, 8)
