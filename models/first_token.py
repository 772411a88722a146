"""Token that a model was trained to find before every text, put before every window that it reads.

Tokenizers write it (Gemma's `<bos>`, Llama's `<s>`) before whole texts; windows are cut from their middle. Attention
rests on it: without it Gemma 3 270M loses two to three nats a token up to 64 tokens, and still 0.3 to 0.5 after 500.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.generic import ModelOutput

NAME = "first_token"
STATES = ("last_hidden_state", "hidden_states")
"""Outputs that have a state for every token."""


def first_token(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Number of the token that a tokenizer writes before every text; None where it writes none."""
    token: Any = tokenizer.bos_token_id
    if not isinstance(token, int):
        return None
    written, bare = (list(tokenizer("a", add_special_tokens=special)["input_ids"]) for special in (True, False))
    return token if written[:1] == [token] != bare[:1] else None


def read_first(model: PreTrainedModel, token: int) -> None:
    """Have a model read a token before every window, and give states and logits of the window alone.

    A call that says more of its tokens (embeddings, a mask, positions, a cache that holds some) is left as it is, and
    so are windows that all begin with the token.

    Args:
        model: a decoder; whoever calls it goes on as before.
        token: a number of its vocabulary.
    """
    if (first := _hooks(model)) is not None:
        first.token, first.wanted = token, True
        return
    inner: Any = model.base_model
    first = _FirstToken(token)
    setattr(inner, NAME, first)
    inner.register_forward_pre_hook(first.put, with_kwargs=True)
    inner.register_forward_hook(first.take_away)


def read_alike(model: PreTrainedModel, dense: PreTrainedModel) -> None:
    """Have a checkpoint read first what the dense model does, whatever its own tokenizer says."""
    own, other = _hooks(model), _hooks(dense)
    if other is not None:
        read_first(model, other.token)
    elif own is not None:
        own.wanted = False


def told_first(model: PreTrainedModel) -> str:
    """Token that a model reads before every window, in words for a protocol."""
    first = _hooks(model)
    return "no BOS" if first is None or not first.wanted else f"token {first.token} before every window"


@contextmanager
def as_given(model: PreTrainedModel) -> Iterator[None]:
    """While open, a model reads just the tokens that it is given: published protocols say where a text begins."""
    if (first := _hooks(model)) is None:
        yield
        return
    before, first.wanted = first.wanted, False
    try:
        yield
    finally:
        first.wanted = before


def _hooks(model: PreTrainedModel) -> _FirstToken | None:
    return getattr(model.base_model, NAME, None)


@dataclass
class _FirstToken:
    """Hooks around a model's forward pass. As methods, they go with a deep copy of the model."""

    token: int
    wanted: bool = True
    present: bool = False
    """Whether the pass at work has it."""

    def put(self, _inner: nn.Module, args: tuple, named: dict[str, Any]) -> tuple[tuple, dict[str, Any]] | None:
        if len(args) == 1:  # some models hand tokens on by position
            named = {"input_ids": args[0], **named}
        self.present = self.wanted and len(args) < 2 and self._missing(named)
        if not self.present:
            return None
        tokens = named["input_ids"]
        first = tokens.new_full((len(tokens), 1), self.token)
        return (), {**named, "input_ids": torch.cat([first, tokens], dim=1)}

    def _missing(self, named: dict[str, Any]) -> bool:
        tokens, cache = named.get("input_ids"), named.get("past_key_values", named.get("cache"))
        told = any(named.get(name) is not None for name in ("inputs_embeds", "attention_mask", "position_ids"))
        if tokens is None or told or (cache is not None and cache.get_seq_length() > 0):
            return False
        return not bool((tokens[:, 0] == self.token).all())

    def take_away(self, _inner: nn.Module, _args: tuple, output: ModelOutput) -> None:
        if not self.present:
            return
        for name in STATES:
            states = getattr(output, name, None)
            if isinstance(states, Tensor):
                output[name] = states[:, 1:]
            elif states is not None:
                output[name] = tuple(state[:, 1:] for state in states)
