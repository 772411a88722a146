import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from compress.coding import DeepCompression
from compress.packing.encodings import masked, narrowed, on_grid, shared, smallest, whole
from compress.quantization.grouping import PerGroup, PerRow
from compress.quantization.rounding import RoundToNearest


def weight_of(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)).half().float()


def linear(weight: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = nn.Parameter(weight)
    return layer


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("grouping", [PerGroup(16), PerGroup(24), PerRow()], ids=str)
def test_codes_give_the_rounded_weight_up_to_the_scale_in_16_bits(
    bits: int, symmetric: bool, grouping: PerGroup | PerRow
) -> None:
    made = RoundToNearest(bits, grouping, symmetric=symmetric)(linear(weight_of(6, 40)))
    assert made.grid is not None
    read = on_grid(made.weight, made.grid).weight()
    # A float16 scale is off by 2^-11 of itself at most, and so is each code's value.
    assert ((read - made.weight).abs() <= made.weight.abs() * 2**-11).all()


@pytest.mark.parametrize("bits", range(2, 9))
def test_codes_of_scales_that_float16_holds_are_exact(bits: int) -> None:
    steps = 2**bits - 1
    codes = torch.randint(0, steps + 1, (5, 32), generator=torch.Generator().manual_seed(bits)).float()
    codes[:, 0], codes[:, 1] = 0, steps
    made = RoundToNearest(bits, PerRow())(linear((codes - steps // 2) * 0.25))
    assert made.grid is not None
    assert torch.equal(on_grid(made.weight, made.grid).weight(), made.weight)


def test_codes_take_their_bits() -> None:
    made = RoundToNearest(3, PerGroup(16))(linear(weight_of(8, 32)))
    assert made.grid is not None
    packed = on_grid(made.weight, made.grid)
    assert packed.bytes == 8 * 32 * 3 // 8 + 16 * 2 + 16 * 3 // 8


@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_what_is_masked_comes_back(rows: int, columns: int, seed: int) -> None:
    weight = weight_of(rows, columns, seed)
    weight[weight.abs() < 0.7] = 0
    assert torch.equal(masked(weight).weight(), weight)


def test_a_mask_takes_a_bit_a_weight() -> None:
    weight = weight_of(4, 64)
    weight[:, ::2] = 0
    assert masked(weight).bytes == 128 * 2 + 256 // 8


@given(st.integers(1, 6), st.integers(1, 200), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_shared_values_come_back(rows: int, columns: int, kept: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(-4, 5, (rows, columns), generator=generator).float()
    weight[torch.rand(rows, columns, generator=generator) > kept] = 0
    packed = shared(weight)
    assert packed is None if not weight.any() else torch.equal(packed.weight(), weight)  # type: ignore[union-attr]


def test_shared_values_take_what_deep_compression_counts() -> None:
    made = DeepCompression(0.5, 4)(linear(weight_of(64, 64)))
    packed = shared(made.weight)
    assert packed is not None
    unused = 16 - len(packed.tensors["centres"])
    # Counted are 32 bits a centre, where the file has 16, and centres that nothing is near to, with the length of their
    # code; a stream's last byte is a whole one.
    counted = made.storage.total_bits / 8 - 16 * 2 - unused * 3
    assert counted <= packed.bytes < counted + 2


def test_more_values_than_are_shared() -> None:
    assert shared(weight_of(32, 32)) is None


def test_a_long_gap_takes_fillers() -> None:
    weight = torch.zeros(1, 100)
    weight[0, 99] = 2.0
    packed = shared(weight)
    assert packed is not None
    assert packed.numbers["symbols"] == 4  # 99 zeros are three times 32 and three
    assert torch.equal(packed.weight(), weight)


def test_the_fewest_bytes_win() -> None:
    dense, sparse, few = weight_of(32, 32), weight_of(32, 32), weight_of(32, 32).sign()
    sparse[:, ::2] = 0
    assert [smallest(weight).kind for weight in (dense, sparse, few)] == ["whole", "mask", "shared"]


def test_16_bits_keep_what_lies_beyond_float16() -> None:
    large = torch.tensor([1e5, 1.0])
    assert narrowed(large).dtype is torch.bfloat16
    assert whole(large).weight().isfinite().all()
    assert narrowed(torch.tensor([1.0])).dtype is torch.float16
    assert narrowed(torch.tensor([1])).dtype is torch.int64
