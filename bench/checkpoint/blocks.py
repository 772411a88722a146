"""Blocks of two models compared one by one, each on the dense model's own states, so that a bad one stands alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from models.load import Decoder

Hook = Callable[..., Any]


@dataclass(frozen=True)
class BlockStates:
    """States of the dense model at its blocks, on a few tokens."""

    tokens: Tensor
    """`[windows, tokens]`."""
    entering: Tensor
    """What the first block reads, `[windows, tokens, width]`."""
    leaving: list[Tensor]
    """What each block gives, `[windows, tokens, width]`."""


@dataclass(frozen=True)
class Departures:
    """Departure of every part of a compressed model from the dense one's, on the dense one's input."""

    embedding: float
    """Relative to the embedding's norm."""
    blocks: list[float] = field(default_factory=list)
    """Relative to what the dense block adds to its input."""


@torch.inference_mode()
def block_states(decoder: Decoder, tokens: Tensor) -> BlockStates:
    """States of a model at its blocks, kept where it computes."""
    entering: list[Tensor] = []
    leaving: list[Tensor] = []

    def keep_input(_block: nn.Module, arguments: tuple, named: dict[str, Any]) -> None:
        entering.append(_read(arguments, named))

    def keep_output(_block: nn.Module, _arguments: tuple, output: Any) -> None:
        leaving.append(_state(output))

    with hooked(decoder.blocks[:1], keep_input, before=True), hooked(decoder.blocks, keep_output):
        decoder.hidden(tokens)
    return BlockStates(tokens, entering[0], leaving)


@torch.inference_mode()
def departures(decoder: Decoder, dense: BlockStates) -> Departures | None:
    """Departure of each block, fed with what the dense model feeds its own; None where the two do not match.

    Of a block f and the dense one g on states h it is the median over tokens of ‖f(h) - g(h)‖ / ‖g(h) - h‖. The first
    token of a window is left out: its state is a hundred times as large as any other's in many models.
    """
    if len(decoder.blocks) != len(dense.leaving):
        return None
    device = decoder.device
    inputs = [state.to(device) for state in (dense.entering, *dense.leaving)]
    found: list[float] = []
    embedding: list[float] = []

    def feed(_block: nn.Module, arguments: tuple, named: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        own = _read(arguments, named)
        if own.shape != inputs[0].shape:
            raise _Mismatch
        embedding.append(_median(own - inputs[0], inputs[0]))
        if arguments:
            return (inputs[0].to(own.dtype), *arguments[1:]), named
        return arguments, named | {"hidden_states": inputs[0].to(own.dtype)}

    def judge(_block: nn.Module, _arguments: tuple, output: Any) -> Any:
        state, place = _state(output), len(found)
        given, expected = inputs[place], inputs[place + 1]
        found.append(_median(state - expected, expected - given))
        replaced = expected.to(state.dtype)
        return (replaced, *output[1:]) if isinstance(output, tuple) else replaced

    try:
        with hooked(decoder.blocks[:1], feed, before=True), hooked(decoder.blocks, judge):
            decoder.hidden(dense.tokens)
    except _Mismatch:
        return None
    return Departures(embedding[0], found)


class _Mismatch(Exception):
    """States of another width."""


@contextmanager
def hooked(blocks: tuple[nn.Module, ...], hook: Hook, *, before: bool = False) -> Iterator[None]:
    """Hang a hook on blocks, before or after they run, and take it off again."""
    if before:
        handles = [block.register_forward_pre_hook(hook, with_kwargs=True) for block in blocks]
    else:
        handles = [block.register_forward_hook(hook) for block in blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _read(arguments: tuple, named: dict[str, Any]) -> Tensor:
    return arguments[0] if arguments else named["hidden_states"]


def _state(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def _median(difference: Tensor, against: Tensor) -> float:
    """Median over tokens, but each window's first, of a difference's norm relative to another; 0 of nothing at all."""
    first, second = (x[:, 1:].double().norm(dim=-1) for x in (difference, against))
    relative = torch.where(first == 0, 0.0, first / second)
    return float(relative.nanquantile(0.5)) if not relative.isnan().all() else float("nan")
