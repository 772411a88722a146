"""Mixed precision protects exactly the groups asked for."""

from dataclasses import FrozenInstanceError

import pytest
import torch

from compress.grid import fake_quantize
from compress.quantization.grouping import PerGroup
from compress.quantization.mixed_precision import Keep, Protection, protected_count
from compress.quantization.rounding import RoundToNearest
from tests.layers import layer_of


@pytest.mark.parametrize("keep", Keep, ids=lambda keep: keep.value)
def test_protected_groups_are_exactly_those_asked_for(keep):
    weight = torch.randn(10, 20, generator=torch.Generator().manual_seed(0))
    method = RoundToNearest(2, PerGroup(6), protect=Protection(0.1, keep))
    rounded = method(layer_of(weight), name="layer").weight
    grouping = PerGroup(6)
    eight, two = (grouping.cut(fake_quantize(grouping.cut(weight), bits).reshape(10, -1)[:, :20]) for bits in (8, 2))
    cut = grouping.cut(rounded.detach())
    protected = (cut == eight).all(-1) & (cut != two).any(-1)
    assert protected.sum() == 4  # 10 rows of 4 groups, a tenth of 40
    assert ((cut == two).all(-1) | protected).all()
    magnitude = grouping.cut(weight).abs().sum(-1) / torch.tensor(grouping.lengths(20))
    if keep is Keep.LARGEST:
        assert magnitude[protected].min() >= magnitude[~protected].max()
    if keep is Keep.SMALLEST:
        assert magnitude[protected].max() <= magnitude[~protected].min()


@pytest.mark.parametrize(
    ("fraction", "groups", "count"), [(0.5, 5, 3), (0.1, 5, 1), (0.3, 5, 2), (0.1, 4, 0), (0.0, 9, 0), (0.25, 10, 3)]
)
def test_the_count_is_the_nearest_whole_number_and_halves_go_up(fraction, groups, count):
    """Python's own round takes halves to even: 2 of 2.5."""
    assert protected_count(fraction, groups) == count


def test_random_groups_depend_on_the_seed_and_the_name():
    magnitudes = torch.ones(6, 10)
    first = Protection(0.3, Keep.RANDOM).mask(magnitudes, "a")
    assert first.shape == (6, 10) and first.sum() == 18
    assert torch.equal(first, Protection(0.3, Keep.RANDOM, seed=0).mask(magnitudes, "a"))
    assert not torch.equal(first, Protection(0.3, Keep.RANDOM, seed=1).mask(magnitudes, "a"))
    assert not torch.equal(first, Protection(0.3, Keep.RANDOM).mask(magnitudes, "b"))


def test_groups_are_chosen_by_magnitude_over_the_whole_layer():
    magnitudes = torch.tensor([[1.0, 9.0], [8.0, 2.0]])
    assert Protection(0.5).mask(magnitudes, "").tolist() == [[False, True], [True, False]]
    assert Protection(0.5, Keep.SMALLEST).mask(magnitudes, "").tolist() == [[True, False], [False, True]]


def test_names_and_settings():
    assert Protection(0.1) == Protection(0.1, Keep.LARGEST, 8, 0) and str(Protection(0.02)) == "keep-0.02-largest"
    for settings in ({"fraction": 1.0}, {"fraction": 0.1, "bits": 9}, {"fraction": -0.1}):
        with pytest.raises(ValueError, match=r"protected groups is|bits is 9"):
            Protection(**settings)
    with pytest.raises(FrozenInstanceError):
        Protection(0.1).bits = 4
