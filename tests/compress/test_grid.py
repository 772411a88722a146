"""Promises of rounding to an integer grid, for every weight that could be thought of."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from compress.grid import check_bits, code_bits, fake_quantize, fit_grid, from_codes, to_codes

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


def test_a_group_of_one_sign_keeps_its_differences():
    # A zero point clamped to the codes gives 0.3 for all four (seen in two reference implementations).
    weight = torch.tensor([[2.0, 2.1, 2.2, 2.3]])
    rounded = fake_quantize(weight, 8)
    assert len(rounded.unique()) == 4
    torch.testing.assert_close(rounded, weight, rtol=0, atol=2.3 / 255 / 2 * 1.01)


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


@given(groups(), BITS, SYMMETRIC)
def test_exempt_members_stay_and_count_for_no_range(values, bits, symmetric):
    exempt = torch.arange(values.shape[1]) % 2 == 0
    rounded = fake_quantize(values, bits, symmetric=symmetric, exempt=exempt)
    assert torch.equal(rounded[:, exempt], values[:, exempt])
    others = torch.where(exempt, torch.zeros(()), values)
    assert torch.equal(rounded[:, ~exempt], fake_quantize(others, bits, symmetric=symmetric)[:, ~exempt])


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (5, 1)])
def test_every_group_has_its_own_scale_and_zero_point(shape):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for symmetric in (False, True):
        grid = fit_grid(values, 3, symmetric=symmetric)
        assert grid.scale.shape == grid.zero_point.shape == (*shape[:-1], 1)
        assert (grid.lowest, grid.highest) == ((-3, 3) if symmetric else (0, 7))
        assert not symmetric or not grid.zero_point.any()


@pytest.mark.parametrize(
    ("codes", "bits"), [([0, 0], 1), ([0, 1], 1), ([0, 2], 2), ([3, 7], 3), ([-3, 3], 3), ([0, 15], 4), ([0, 16], 5)]
)
def test_codes_need_bits_for_their_span(codes, bits):
    assert code_bits(torch.tensor(codes)) == bits


@pytest.mark.parametrize("values", [[0.25, 0.5], [2.0, 3.0], [-0.5, -0.25], [-3.0, -2.0]])
def test_the_range_of_a_group_of_one_sign_reaches_zero_and_no_further(values):
    """On either side of 1, which is no limit."""
    grid = fit_grid(torch.tensor([values]), 3, symmetric=False)
    assert grid.scale.item() == pytest.approx(max(map(abs, values)) / 7)
    assert grid.zero_point.item() == (0 if values[0] > 0 else 7)
