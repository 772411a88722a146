"""Quantization of the key/value cache."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from compress.grid import check_bits, fake_quantize


@dataclass(frozen=True)
class CacheQuantization:
    """Rounding of keys and values as they enter the cache; every query, from a token's own on, reads them rounded.

    A grid is asymmetric and covers one token: all of its key/value heads together, or groups of each head's features
    (Li et al. 2024 quantize a cache per token and group; keys are cached after their position is rotated in).
    """

    bits: int
    group: int | None = None
    """Features of a head that share a grid; None for one grid a token over all heads."""

    def __post_init__(self) -> None:
        check_bits(self.bits)
        if self.group is not None and self.group < 1:
            raise ValueError(f"group is {self.group}; it must be at least 1")

    def __str__(self) -> str:
        return f"kv{self.bits}-{'token' if self.group is None else f'g{self.group}'}"

    def rounded(self, states: Tensor) -> Tensor:
        """Keys or values `[batch, heads, tokens, width]` on their grids, rounded in float32.

        Raises:
            ValueError: the heads' width is no multiple of the group.
        """
        heads, width = states.shape[1], states.shape[3]
        by_token = states.transpose(1, 2).float()  # [batch, tokens, heads, width]
        if self.group is None:
            groups = by_token.flatten(2)
        elif width % self.group == 0:
            groups = by_token.unflatten(3, (-1, self.group))
        else:
            raise ValueError(f"a head's {width} features do not divide into groups of {self.group}")
        rounded = fake_quantize(groups, self.bits).reshape(*by_token.shape[:2], heads, width)
        return rounded.transpose(1, 2).to(states.dtype)
