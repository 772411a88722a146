"""GPTQ as a method: names, settings that are refused, storage, and the grid that a checkpoint is told."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import nn

from compress.grid import fake_quantize
from compress.quantization.column_rounding import Ranges
from compress.quantization.gptq import GPTQ, gptq
from compress.quantization.grouping import PerGroup, PerRow, PerTensor
from compress.quantization.rounding import RoundToNearest
from compress.statistics import GramMatrix
from tests.layers import correlated, measured


def test_a_damping_that_had_to_be_raised_is_on_record():
    layer = nn.Linear(4, 3)
    statistic = GramMatrix(layer)
    statistic.add(torch.ones(1, 4))
    assert "damping raised from 0 to" in GPTQ(4, PerRow(), damping=0.0)(layer, statistic).note
    assert GPTQ(4, PerRow())(layer, statistic).note == ""


def test_gptq_stores_what_rounding_does():
    layer = nn.Linear(24, 6)
    statistic = measured(layer, torch.randn(50, 24, generator=torch.Generator().manual_seed(0)), GramMatrix)
    rounded = RoundToNearest(3, PerGroup(8))(layer, None)
    assert GPTQ(3, PerGroup(8))(layer, statistic).storage.total_bits == rounded.storage.total_bits
    assert str(GPTQ(4, activation_order=True, ranges=Ranges.STATIC)) == "gptq-w4-g128-actorder-static"


@pytest.mark.parametrize(
    ("settings", "mixed"),
    [
        ({"activation_order": True}, True),
        ({"activation_order": True, "ranges": Ranges.REFERENCE}, True),
        ({"activation_order": True, "ranges": Ranges.STATIC}, False),
        ({"activation_order": True, "grouping": PerRow()}, False),
        ({}, False),
    ],
)
def test_an_order_that_mixes_groups_is_stored_and_has_no_packed_grid(settings, mixed):
    layer = nn.Linear(24, 6)
    statistic = measured(layer, torch.randn(50, 24, generator=torch.Generator().manual_seed(0)), GramMatrix)
    made = GPTQ(3, **{"grouping": PerGroup(8), **settings})(layer, statistic)
    groups = made.storage.scale_bits // 32
    assert made.storage.mask_bits == (24 * 16 if mixed else 0)
    assert made.storage.value_bits == 144 * 3 and made.storage.held_bits == 144 * 32
    assert made.storage.zero_point_bits == groups * 3 and groups in {6, 18}
    assert (made.grid is None) == mixed
    if not mixed:
        size = made.grid.size
        assert size == (8 if groups == 18 else 24) and made.grid.bits == 3 and not made.grid.symmetric
        codes = made.weight / made.grid.scales.repeat_interleave(size, 1)
        torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-4)


def test_a_symmetric_grid_stores_no_zero_points():
    layer = nn.Linear(24, 6)
    statistic = measured(layer, torch.randn(50, 24, generator=torch.Generator().manual_seed(0)), GramMatrix)
    made = GPTQ(3, PerGroup(8), symmetric=True)(layer, statistic)
    assert made.storage.zero_point_bits == 0 and not made.grid.zero_points.any() and made.grid.symmetric
    assert len((made.weight / made.grid.scales.repeat_interleave(8, 1)).round().unique()) <= 7


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (GPTQ(4), "gptq-w4-g128"),
        (GPTQ(3, PerRow(), activation_bits=8), "gptq-w3a8-row"),
        (GPTQ(4, symmetric=True, true_sequential=True), "gptq-w4-g128-sym-sequential"),
        (GPTQ(4, ranges=Ranges.REFERENCE, first_token_weight=100), "gptq-w4-g128-reference-first-100"),
    ],
)
def test_names_tell_what_differs_from_the_usual(method, name):
    assert str(method) == name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bits": 1}, "bits is 1"),
        ({"bits": 4, "activation_bits": 9}, "bits is 9"),
        ({"bits": 4, "grouping": PerTensor()}, "a grid for each row or group"),
        ({"bits": 4, "first_token_weight": 0}, "above 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        GPTQ(**settings)


def test_inputs_are_rounded_only_where_that_is_asked():
    layer, inputs = nn.Linear(24, 6), torch.randn(50, 24, generator=torch.Generator().manual_seed(0))
    statistic = measured(layer, inputs, GramMatrix)
    plain, both = (GPTQ(4, PerGroup(8), activation_bits=bits)(layer, statistic) for bits in (None, 4))
    assert torch.equal(plain.weight, both.weight)
    torch.testing.assert_close(both(inputs), fake_quantize(inputs, 4) @ plain.weight.T + layer.bias)
    torch.testing.assert_close(plain(inputs), inputs @ plain.weight.T + layer.bias)


def test_results_and_settings_cannot_be_changed():
    weight, gram, _ = correlated(2, 8, 0)
    for value, name in ((GPTQ(4), "bits"), (gptq(weight, gram, bits=4, grouping=PerRow()), "damping")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, 3)
