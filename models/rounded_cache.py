"""Reading through a key/value cache whose entries are rounded, by transformers' own cache interface."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer

Rounded = Callable[[Tensor], Tensor]
"""Function from keys or values `[batch, heads, tokens, width]` to what the cache holds of them."""


def hidden_through_cache(model: PreTrainedModel, rounded: Rounded, tokens: Tensor) -> Tensor:
    """Final hidden states `[batch, tokens, width]` of a model whose cache holds rounded keys and values.

    Every query, from a token's own on, reads them so.

    Args:
        model: a decoder.
        rounded: what becomes of keys and values as they enter the cache.
        tokens: `[batch, tokens]`.
    """
    cache = Cache(layers=[_RoundedLayer(rounded) for _ in range(model.config.num_hidden_layers)])
    inner = model.base_model
    # transformers called the argument past_key_values up to 5.23.
    name = "cache" if "cache" in inspect.signature(inner.forward).parameters else "past_key_values"
    return inner(input_ids=tokens.to(model.device), use_cache=True, **{name: cache}).last_hidden_state


class _RoundedLayer(DynamicLayer):
    """A layer's cache whose entries are rounded as they come."""

    def __init__(self, rounded: Rounded) -> None:
        super().__init__()
        self.rounded = rounded

    def update(self, key_states: Tensor, value_states: Tensor, *rest: Any, **more: Any) -> tuple[Tensor, Tensor]:
        """Add keys and values, rounded, and give all that are cached."""
        return super().update(self.rounded(key_states), self.rounded(value_states), *rest, **more)
