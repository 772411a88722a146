"""Quantization of the key/value cache, through transformers' own cache interface."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer

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

    def hidden(self, model: PreTrainedModel, tokens: Tensor) -> Tensor:
        """Final hidden states of a model that reads through such a cache: `[batch, tokens, width]`."""
        cache = Cache(layers=[_RoundedLayer(self) for _ in range(model.config.num_hidden_layers)])
        inner = model.base_model
        # transformers called the argument past_key_values up to 5.23.
        name = "cache" if "cache" in inspect.signature(inner.forward).parameters else "past_key_values"
        return inner(input_ids=tokens.to(model.device), use_cache=True, **{name: cache}).last_hidden_state


class _RoundedLayer(DynamicLayer):
    """A layer's cache whose entries are rounded as they come."""

    def __init__(self, how: CacheQuantization) -> None:
        super().__init__()
        self.how = how

    def update(self, key_states: Tensor, value_states: Tensor, *rest: Any, **more: Any) -> tuple[Tensor, Tensor]:
        """Add keys and values, rounded, and give all that are cached."""
        return super().update(self.how.rounded(key_states), self.how.rounded(value_states), *rest, **more)
