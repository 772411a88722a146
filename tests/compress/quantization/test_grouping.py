"""Cutting a weight into groups and joining them again."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compress.grid import fake_quantize, fit_grid
from compress.quantization.grouping import PerGroup, PerRow, PerTensor
from tests.oracles import round_to_nearest

EPS = torch.finfo(torch.float32).eps
BITS = st.sampled_from([2, 3, 4, 8])
SYMMETRIC = st.booleans()


@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 50), BITS, SYMMETRIC, st.integers(0, 2**31))
def test_groups_match_a_slow_float64_transcription(rows, columns, size, bits, symmetric, seed):
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    grouping = PerGroup(size)
    rounded = grouping.join(fake_quantize(grouping.cut(weight), bits, symmetric=symmetric), columns)
    expected = round_to_nearest(weight.numpy(), bits, size, symmetric)
    scale = fit_grid(grouping.cut(weight), bits, symmetric=symmetric).scale.max().item()
    gap = np.abs(rounded.numpy() - expected)
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
    rounded = grouping.join(fake_quantize(grouping.cut(weight), 4, symmetric=True), 5)
    torch.testing.assert_close(rounded, weight, rtol=2 * EPS, atol=0)


def test_groups_of_a_weight_that_is_not_square():
    weight = torch.arange(21.0).view(3, 7)
    assert PerTensor().cut(weight).shape == (1, 1, 21) and PerRow().cut(weight).shape == (3, 1, 7)
    cut = PerGroup(3).cut(weight)
    assert cut.shape == (3, 3, 3) and cut[1].tolist() == [[7, 8, 9], [10, 11, 12], [13, 0, 0]]
    assert PerGroup(7).cut(weight).shape == (3, 1, 7) and PerGroup(7).lengths(7) == [7]


def test_groupings_are_values_with_names():
    assert [str(PerTensor()), str(PerRow()), str(PerGroup(24))] == ["tensor", "row", "g24"]
    assert (PerTensor(), PerRow(), PerGroup(8)) == (PerTensor(), PerRow(), PerGroup(8)) and PerGroup(8) != PerGroup(9)
    assert len({PerTensor(), PerTensor(), PerRow(), PerRow(), PerGroup(1), PerGroup(1)}) == 3
    with pytest.raises(FrozenInstanceError):
        PerGroup(8).size = 9
    for size in (0, -1):
        with pytest.raises(ValueError, match="at least 1"):
            PerGroup(size)
