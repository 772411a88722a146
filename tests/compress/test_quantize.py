"""What rounding to a grid promises, for every weight we could think of."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from compress.grid import check_bits, code_bits, fake_quantize, fit_grid, from_codes, to_codes
from compress.quantization.grouping import PerGroup, PerRow, PerTensor
from tests.oracles import round_to_nearest

EPS = torch.finfo(torch.float32).eps
BITS = st.sampled_from([2, 3, 4, 8])
anything = st.floats(-1e4, 1e4, width=32)  # subnormals too: they underflow the scale
SYMMETRIC = st.booleans()


def groups(elements=anything):
    """Float32 weights `[rows, members]`, at most 8 by 8."""
    shape = npst.array_shapes(min_dims=2, max_dims=2, max_side=8)
    return npst.arrays(np.float32, shape, elements=elements).map(torch.from_numpy)


@st.composite
def ties(draw):
    """Groups whose weights lie halfway between codes of the grid that their extremes span."""
    bits = draw(BITS)
    symmetric = draw(SYMMETRIC)
    step = draw(st.floats(0.0078125, 16, width=32))
    low, high = (-(2 ** (bits - 1) - 1), 2 ** (bits - 1) - 1) if symmetric else (-1, 2**bits - 2)
    codes = draw(st.lists(st.integers(low, high - 1), min_size=1, max_size=8))
    return torch.tensor([[*(k + 0.5 for k in codes), float(high), float(low)]]) * step, bits, symmetric


cases = st.tuples(groups(), BITS, SYMMETRIC) | ties()


@given(cases)
@example((torch.tensor([[1e-45]]), 3, True))  # the scale underflows to zero
@example((torch.tensor([[3e38, -3e38]]), 4, False))  # the range overflows
@example((torch.tensor([[2.0, 2.1, 2.2, 2.3]]), 3, False))  # one sign
def test_rounding_moves_a_weight_by_at_most_half_a_step(case):
    weight, bits, symmetric = case
    grid = fit_grid(weight, bits, symmetric=symmetric)
    error = (from_codes(to_codes(weight, grid), grid) - weight).abs()
    # The scale, w / scale and code * scale round once each, relative to the largest value of the grid.
    slack = 2 * EPS * (weight.abs() + grid.scale * (grid.highest - grid.lowest))
    assert (error <= grid.scale / 2 + slack).all()


@given(cases)
def test_the_grid_is_a_fixed_point(case):
    weight, bits, symmetric = case
    grid = fit_grid(weight, bits, symmetric=symmetric)
    codes = to_codes(weight, grid)
    assert torch.equal(to_codes(from_codes(codes, grid), grid), codes)


@given(cases)
def test_codes_are_whole_and_lie_on_the_grid(case):
    weight, bits, symmetric = case
    grid = fit_grid(weight, bits, symmetric=symmetric)
    codes = to_codes(weight, grid)
    assert torch.equal(codes, codes.round())
    assert ((codes >= grid.lowest) & (codes <= grid.highest)).all()
    assert code_bits(codes) <= bits


@given(weight=groups(), bits=BITS)
def test_a_symmetric_grid_flips_with_the_weight(weight, bits):
    grid = fit_grid(weight, bits, symmetric=True)
    assert torch.equal(to_codes(-weight, grid), -to_codes(weight, grid))


@given(weight=groups(), bits=BITS, symmetric=SYMMETRIC)
def test_zero_stays_zero(weight, bits, symmetric):
    weight = torch.cat([weight, torch.zeros(len(weight), 1)], dim=1)
    assert (fake_quantize(weight, bits, symmetric=symmetric)[:, -1] == 0).all()


@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 50), BITS, SYMMETRIC, st.integers(0, 2**31))
def test_groups_match_a_slow_float64_transcription(rows, columns, size, bits, symmetric, seed):
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    grouping = PerGroup(size)
    found = grouping.join(fake_quantize(grouping.cut(weight), bits, symmetric=symmetric), columns)
    expected = round_to_nearest(weight.numpy(), bits, size, symmetric)
    scale = fit_grid(grouping.cut(weight), bits, symmetric=symmetric).scale.max().item()
    gap = np.abs(found.numpy() - expected)
    # In float32 a weight next to a tie may fall on its other side; those are a step apart and rare.
    near = gap <= 4 * EPS * np.abs(expected).max() + 1e-12
    assert (near | (gap <= scale * (1 + 1e-4))).all()
    assert (~near).sum() <= 1


@pytest.mark.parametrize(
    "grouping", [PerTensor(), PerRow(), PerGroup(1), PerGroup(3), PerGroup(7), PerGroup(9)], ids=str
)
def test_join_undoes_cut(grouping):
    weight = torch.randn(4, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(grouping.join(grouping.cut(weight), 7), weight)


def test_a_ragged_last_group_has_its_own_grid():
    weight = torch.tensor([[8.0, -8.0, 8.0, 0.5, -0.5]])
    grouping = PerGroup(3)
    assert grouping.lengths(5) == [3, 2]
    found = grouping.join(fake_quantize(grouping.cut(weight), 4, symmetric=True), 5)
    torch.testing.assert_close(found, weight, rtol=2 * EPS, atol=0)


def test_a_group_of_one_sign_keeps_its_differences():
    # A zero point clamped to the codes gives 0.3 for all four (seen in two reference implementations).
    weight = torch.tensor([[2.0, 2.1, 2.2, 2.3]])
    found = fake_quantize(weight, 8)
    assert len(found.unique()) == 4
    torch.testing.assert_close(found, weight, rtol=0, atol=2.3 / 255 / 2 * 1.01)


def test_four_bits_by_hand():
    weight = torch.tensor([[-7.0, -0.4, 0.5, 1.5, 7.0]])
    assert fit_grid(weight, 4, symmetric=True).scale.item() == 1.0
    assert fake_quantize(weight, 4, symmetric=True).tolist() == [[-7, 0, 0, 2, 7]]
    weight = torch.tensor([[-5.0, 0.4, 2.5, 10.0]])
    grid = fit_grid(weight, 4, symmetric=False)
    assert (grid.scale.item(), grid.zero_point.item()) == (1.0, 5.0)
    assert to_codes(weight, grid).tolist() == [[0, 5, 7, 15]]


@pytest.mark.parametrize("bits", [1, 9, 0, -3, 3.5])
def test_bits_outside_the_format_are_refused_with_both_numbers(bits):
    with pytest.raises(ValueError, match=rf"bits is {bits}.*2 to 8"):
        check_bits(bits)


def test_nan_is_not_hidden():
    weight = torch.tensor([[1.0, float("nan"), -1.0]])
    assert fake_quantize(weight, 4).isnan().all()


@given(groups(), BITS)
def test_per_token_is_per_row_of_the_input(values, bits):
    whole = fake_quantize(values, bits)
    alone = torch.cat([fake_quantize(row[None], bits) for row in values])
    assert torch.equal(whole, alone)
