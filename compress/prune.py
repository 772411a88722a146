"""Choosing which weights go: the least important ones of each comparison group, exactly as many as asked.

Scores are `[groups, members]` of any float dtype; masks are True where a weight goes. Of equal scores the one
that stands first goes first, so a mask is a function of its scores alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor


def check_fraction(name: str, value: float) -> None:
    """Raise ValueError unless `value`, called `name`, is at least 0 and below 1."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}; it must be at least 0 and below 1")


def check_pattern(n_of_m: tuple[int, int] | None, sparsity: float) -> None:
    """Raise ValueError unless keeping n of every m weights leaves that sparsity; None is no pattern."""
    if n_of_m is None:
        return
    n, m = n_of_m
    if not 0 < n <= m:
        raise ValueError(f"cannot keep {n} of every {m} weights; n must lie between 1 and m")
    if abs(1 - n / m - sparsity) > 1e-9:
        raise ValueError(f"{n}:{m} sparsity is {1 - n / m:g}, not {sparsity:g}; give that sparsity")


def removed_count(sparsity: float, members: int) -> int:
    """How many of `members` weights go: the whole number nearest to `sparsity * members`."""
    return round(sparsity * members)


def wanda_scores(weight: Tensor, squared_inputs: Tensor) -> Tensor:
    """Wanda's importance `|W_ij| * ||X_j||_2` in float32 (Sun et al. 2023, eq. 1).

    Args:
        weight: `[d_out, d_in]`.
        squared_inputs: `[d_in]`, sum or mean over tokens of each input's square; a common factor changes no
            comparison inside a row.

    Returns:
        `[d_out, d_in]`.
    """
    return weight.float().abs() * squared_inputs.float().sqrt()


def smallest(scores: Tensor, count: int) -> Tensor:
    """The mask of the `count` lowest scores in every row: `[groups, members]` -> the same, bool."""
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    limit = scores.kthvalue(count, dim=-1, keepdim=True).values
    below = scores < limit
    return below | _first(scores == limit, count - below.sum(-1, keepdim=True))


def _first(mask: Tensor, count: Tensor) -> Tensor:
    """The first `count [groups, 1]` True members of each row of a mask."""
    return mask & (mask.cumsum(-1, dtype=torch.int32) <= count)


def smallest_n_of_m(scores: Tensor, n: int, m: int) -> Tensor:
    """The mask of the `n` lowest scores among every `m` consecutive members: `[rows, members]`.

    Raises:
        ValueError: `m` does not divide the members.
    """
    rows, members = scores.shape
    if members % m:
        raise ValueError(f"cannot cut {members} inputs into groups of {m} for {m - n}:{m} sparsity")
    runs = rearrange(scores, "rows (runs m) -> (rows runs) m", m=m)
    return rearrange(smallest(runs, n), "(rows runs) m -> rows (runs m)", rows=rows)


def smallest_across(scores: Sequence[Tensor], count: int) -> list[Tensor]:
    """The masks of the `count` lowest scores of several tensors taken as one group.

    The limit is found by bisection on the bits of the scores, which for floats at or above zero are ordered as
    the floats are: 31 counting passes and no copy of the whole, whatever the model's size.

    Args:
        scores: non-negative float32 tensors of any shapes.
        count: how many go, counted over all of them.
    """
    if count == 0:
        return [torch.zeros_like(score, dtype=torch.bool) for score in scores]
    low, high = 0, torch.tensor(torch.inf).view(torch.int32).item()
    while low < high:
        middle = (low + high) // 2
        if sum(int((score.view(torch.int32) <= middle).sum()) for score in scores) >= count:
            high = middle
        else:
            low = middle + 1
    masks, left = [], count - sum(int((score.view(torch.int32) < low).sum()) for score in scores)
    for score in scores:
        bits = score.view(torch.int32)
        ties = _first((bits == low).flatten()[None], torch.tensor([[left]], device=bits.device))
        masks.append((bits < low) | ties.view(score.shape))
        left -= int(ties.sum())
    return masks
