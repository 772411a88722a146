"""Rank of a factorised weight: from a share of its parameters, and where it makes the layer smaller.

Two factors `[d_out, r]` and `[r, d_in]` have `r (d_out + d_in)` parameters in the place of `d_out d_in`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


def largest_rank(d_out: int, d_in: int) -> int:
    """Largest rank at which two factors have fewer parameters than the weight; 0 for a single row or column."""
    return (d_out * d_in - 1) // (d_out + d_in)


def rank_of_share(d_out: int, d_in: int, share: float) -> int:
    """Rank `floor(share · d_out d_in / (d_out + d_in))` whose factors have at most a share of the parameters."""
    return math.floor(share * d_out * d_in / (d_out + d_in))


def check_rank(rank: int, d_out: int, d_in: int) -> None:
    """Raises ValueError unless a weight `[d_out, d_in]` has that many singular values, and at least 1 is asked for."""
    most = min(d_out, d_in)
    if not 1 <= rank <= most:
        raise ValueError(f"rank {rank} of a {d_out} x {d_in} weight; it has {most} singular values, give 1 to {most}")


@dataclass(frozen=True)
class Rank:
    """Rank of every layer: a share of the dense parameters, or one number for all."""

    share: float | None
    rank: int | None

    def __post_init__(self) -> None:
        if (self.share is None) == (self.rank is None):
            raise ValueError(f"share is {self.share} and rank is {self.rank}; give one of them and not the other")
        if self.share is not None and not 0 < self.share < 1:
            raise ValueError(f"share is {self.share}; it must be above 0 and below 1, the dense layer's own size")
        if self.rank is not None and self.rank < 1:
            raise ValueError(f"rank is {self.rank}; it must be at least 1")

    def __str__(self) -> str:
        return f"{self.share:g}" if self.share is not None else f"rank-{self.rank}"

    def of(self, d_out: int, d_in: int, name: str = "") -> int:
        """Rank of one weight.

        Raises:
            ValueError: the weight has fewer singular values, the factors would be no smaller than the weight, or the
                share is too small for rank 1.
        """
        where, most = name or "the layer", largest_rank(d_out, d_in)
        if self.rank is None:
            rank = rank_of_share(d_out, d_in, self.share or 0.0)
            if rank < 1:
                least = (d_out + d_in) / (d_out * d_in)
                raise ValueError(
                    f"{where}: a share of {self.share:g} is less than rank 1 of its {d_out} x {d_in} weight; "
                    f"give a share of at least {least:.3g} or leave the layer out"
                )
            return rank
        try:
            check_rank(self.rank, d_out, d_in)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        if self.rank > most:
            raise ValueError(
                f"{where}: rank {self.rank} makes its {d_out} x {d_in} weight no smaller, which needs at most {most}; "
                "give a lower rank or leave the layer out"
            )
        return self.rank
