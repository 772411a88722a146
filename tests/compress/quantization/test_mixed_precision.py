"""Mixed precision protects exactly the groups asked for."""

import pytest
import torch

from compress.grid import fake_quantize
from compress.quantization.grouping import PerGroup
from compress.quantization.mixed_precision import Keep, Protection
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
