import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.packing.bits import pack, unpack


@given(st.integers(1, 8).flatmap(lambda bits: st.tuples(st.just(bits), st.lists(st.integers(0, 2**bits - 1)))))
def test_what_is_packed_comes_back(drawn: tuple[int, list[int]]) -> None:
    bits, numbers = drawn
    packed = pack(np.array(numbers, dtype=np.int64), bits)
    assert unpack(packed, bits, len(numbers)).tolist() == numbers


@given(st.integers(1, 8), st.integers(0, 40))
def test_no_bit_is_wasted_but_in_the_last_byte(bits: int, count: int) -> None:
    assert len(pack(np.zeros(count, np.int64), bits)) == -(-count * bits // 8)


def test_three_bits_by_hand() -> None:
    # 5 = 101 and 3 = 011, the low bits first: 101 110 -> byte 0b011101
    assert pack(np.array([5, 3]), 3).tolist() == [0b011101]


def test_a_number_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 4 do not fit in 2 bits"):
        pack(np.array([0, 4]), 2)
    with pytest.raises(ValueError, match="from -1 to 1 do not fit"):
        pack(np.array([-1, 1]), 2)


def test_nine_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="bits is 9"):
        pack(np.array([0]), 9)


def test_bytes_that_are_missing_are_named() -> None:
    with pytest.raises(ValueError, match="4 numbers of 4 bits take 2 bytes, not 1"):
        unpack(np.zeros(1, np.uint8), 4, 4)
