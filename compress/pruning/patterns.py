"""N:M patterns: n weights stay of every m neighbouring inputs."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor

from compress.selection import smallest


def check_pattern(n_of_m: tuple[int, int] | None, sparsity: float) -> None:
    """Raises ValueError unless keeping n of every m weights leaves that sparsity; None is no pattern."""
    if n_of_m is None:
        return
    n, m = n_of_m
    if not 0 < n <= m:
        raise ValueError(f"cannot keep {n} of every {m} weights; n must lie between 1 and m")
    if abs(1 - n / m - sparsity) > 1e-9:
        raise ValueError(f"{n}:{m} sparsity is {1 - n / m:g}, not {sparsity:g}; give that sparsity")


def index_bits(n_of_m: tuple[int, int]) -> int:
    """Bits that tell the place of a kept weight among m."""
    return (n_of_m[1] - 1).bit_length()


def smallest_n_of_m(scores: Tensor, n: int, m: int) -> Tensor:
    """Mask of the `n` lowest scores among every `m` consecutive members: `[rows, members]`.

    Raises:
        ValueError: `m` does not divide the members.
    """
    rows, members = scores.shape
    if members % m:
        raise ValueError(f"cannot cut {members} inputs into groups of {m} for {m - n}:{m} sparsity")
    runs = rearrange(scores, "rows (runs m) -> (rows runs) m", m=m)
    return rearrange(smallest(runs, n), "(rows runs) m -> rows (runs m)", rows=rows)
