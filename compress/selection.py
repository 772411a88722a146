"""Selection of exactly as many members of a group as asked: those with the lowest scores, or random ones.

Scores are `[groups, members]` of any float dtype; masks are True for what is selected. Of equal scores the one
that stands first goes first, so a mask is a function of its scores alone.
"""

from __future__ import annotations

import zlib

import torch
from torch import Tensor


def check_fraction(name: str, value: float) -> None:
    """Raises ValueError unless `value`, called `name`, is at least 0 and below 1."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}; it must be at least 0 and below 1")


def removed_count(sparsity: float, members: int) -> int:
    """Number of weights that go: the whole number nearest to `sparsity * members`."""
    return round(sparsity * members)


def smallest(scores: Tensor, count: int) -> Tensor:
    """Mask of the `count` lowest scores in every row: `[groups, members]` -> the same, bool."""
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    limit = scores.kthvalue(count, dim=-1, keepdim=True).values
    below = scores < limit
    return below | first_true(scores == limit, count - below.sum(-1, keepdim=True))


def first_true(mask: Tensor, count: Tensor) -> Tensor:
    """Mask of the first `count [groups, 1]` True members of each row of a mask."""
    return mask & (mask.cumsum(-1, dtype=torch.int32) <= count)


def layer_generator(seed: int, name: str) -> torch.Generator:
    """Random generator that depends on the seed and the layer's name, and on nothing else."""
    # torch's CPU generator takes in 32 bits of a seed; both parts must be in those.
    return torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
