"""Quantization of the cache: what a token's keys and values become, and that nothing else changes."""

from dataclasses import FrozenInstanceError

import pytest
import torch

from compress.grid import fake_quantize
from compress.quantization.kv_cache import CacheQuantization


def states(seed=0, scale=1.0):
    """Keys of 2 sequences, 3 heads, 5 tokens and 8 features."""
    return scale * torch.randn(2, 3, 5, 8, generator=torch.Generator().manual_seed(seed))


def test_a_token_is_rounded_by_itself():
    keys = states()
    together = CacheQuantization(4).rounded(keys)
    alone = torch.cat([CacheQuantization(4).rounded(keys[:, :, t : t + 1]) for t in range(5)], dim=2)
    torch.testing.assert_close(together, alone, rtol=0, atol=0)


def test_one_grid_covers_all_heads_of_a_token():
    keys = states()
    expected = fake_quantize(keys[1, :, 3].flatten(), 3).view(3, 8)
    torch.testing.assert_close(CacheQuantization(3).rounded(keys)[1, :, 3], expected, rtol=0, atol=0)


def test_a_group_covers_neighbouring_features_of_one_head():
    keys = states()
    expected = fake_quantize(keys[0, 2, 1].view(2, 4), 3).flatten()
    torch.testing.assert_close(CacheQuantization(3, 4).rounded(keys)[0, 2, 1], expected, rtol=0, atol=0)


@pytest.mark.parametrize("scale", [1e-38, 1.0, 1e30])
def test_an_entry_moves_by_at_most_half_a_step(scale):
    keys = states(scale=scale)
    by_token = keys.transpose(1, 2).flatten(2)
    step = (by_token.amax(-1).clamp_min(0) - by_token.amin(-1).clamp_max(0)) / 15
    step = step.clamp_min(torch.finfo(torch.float32).tiny)  # no grid is finer than the smallest normal number
    moved = (CacheQuantization(4).rounded(keys) - keys).abs().transpose(1, 2).flatten(2).amax(-1)
    assert (moved <= 0.5001 * step).all()  # rounding of the division in float32


@pytest.mark.parametrize(("bits", "group"), [(1, None), (9, None), (4, 0)])
def test_formats_that_do_not_exist_are_refused(bits, group):
    with pytest.raises(ValueError, match=r"bits|group"):
        CacheQuantization(bits, group)


def test_groups_that_do_not_divide_a_head_are_refused():
    with pytest.raises(ValueError, match="8 features do not divide into groups of 3"):
        CacheQuantization(4, 3).rounded(states())


def test_names_tell_formats_apart():
    assert [str(CacheQuantization(bits, group)) for bits, group in ((4, None), (2, 32))] == ["kv4-token", "kv2-g32"]


def test_groups_of_a_whole_head_and_of_one_feature_are_allowed():
    keys = states()
    torch.testing.assert_close(CacheQuantization(4, 1).rounded(keys), keys)
    expected = fake_quantize(keys, 4)
    torch.testing.assert_close(CacheQuantization(4, 8).rounded(keys), expected, rtol=0, atol=0)


def test_a_narrow_dtype_stays_and_is_rounded_in_float32():
    keys = states().half()
    rounded = CacheQuantization(3).rounded(keys)
    assert rounded.dtype == torch.float16 and rounded.shape == keys.shape
    torch.testing.assert_close(rounded, CacheQuantization(3).rounded(keys.float()).half(), rtol=0, atol=0)


def test_formats_are_values():
    assert CacheQuantization(4) == CacheQuantization(4, None) and hash(CacheQuantization(4, 2))
    with pytest.raises(FrozenInstanceError):
        CacheQuantization(4).bits = 3
