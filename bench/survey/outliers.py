"""Outlier features: how far the largest magnitudes of hidden states stand out, in which layers, features and positions.

One pass over the scored documents, one document and one layer at a time; nothing of a pass is kept but a few numbers of
every layer. Hidden states are what the blocks give; the inputs of linear layers are those of the model's own width, as
LLM.int8() counts them (Dettmers et al. 2022, § 4.1: attention's projections and the network's expansion).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from bench.survey.lab import Survey
from bench.verdict.documents import Array, Interval, cluster_interval
from bench.verdict.evidence import Arrays
from compress.calibrate import linear_layers
from compress.method import Method
from compress.swap import compressed

HIDDEN, INPUTS = "hidden", "inputs"
"""Kinds of states, which begin the names of their arrays."""
MAGNITUDE, LAYERS, POSITIONS = 6.0, 0.25, 0.06
"""LLM.int8()'s criterion: a feature that reaches the magnitude in that share of layers and of positions."""
NUMBERS = ("largest", "later", "median", "mean", "features", "feature", "position")
"""Numbers of a layer's states: the largest magnitude, the largest after position 0, the median and the mean of all, the
largest of the features' mean magnitudes after position 0 over their median, and where the largest stands."""

KEPT = {HIDDEN: NUMBERS, INPUTS: ("largest", "later", "median")}


def numbers_of(magnitudes: Tensor) -> list[float]:
    """Numbers of one layer's magnitudes `[tokens, width]`, in the order of `NUMBERS`.

    Raises:
        ValueError: fewer than two tokens, or NaN or infinity among them.
    """
    if len(magnitudes) < 2 or not magnitudes.isfinite().all():
        raise ValueError(f"states {tuple(magnitudes.shape)} must be finite and of at least 2 tokens")
    place = int(magnitudes.argmax())
    means = magnitudes[1:].mean(0)
    return [
        float(magnitudes.max()),
        float(magnitudes[1:].max()),
        float(magnitudes.median()),
        float(magnitudes.mean()),
        float(means.max() / means.median()),
        place % magnitudes.shape[1],
        place // magnitudes.shape[1],
    ]


@dataclass
class States:
    """States of one kind in one document, taken in layer by layer."""

    layers: list[list[float]] = field(default_factory=list)
    reached: list[Tensor] = field(default_factory=list)
    """Features that reach the magnitude, `[width]` bool, by layer."""
    positions: Tensor | None = None
    """Features and positions that reach it in any layer, `[tokens, width]` bool."""

    def add(self, states: Tensor) -> None:
        """Takes in a layer's states `[1, tokens, width]`."""
        magnitudes = states.detach().flatten(0, -2).float().abs()
        self.layers.append(numbers_of(magnitudes))
        high = magnitudes >= MAGNITUDE
        self.reached.append(high.any(0))
        self.positions = high if self.positions is None else self.positions | high

    def outliers(self) -> int:
        """Number of features that meet LLM.int8()'s criterion."""
        if self.positions is None:
            return 0
        layers, positions = torch.stack(self.reached).float().mean(0), self.positions.float().mean(0)
        return int(((layers >= LAYERS) & (positions >= POSITIONS)).sum())


@contextmanager
def watching(blocks: tuple[nn.Module, ...], width: int) -> Iterator[dict[str, States]]:
    """States of a forward pass of one document, by kind, as long as the context is open."""
    seen, newest = {HIDDEN: States(), INPUTS: States()}, list[Tensor]()

    def after(_block: nn.Module, _args: tuple, output: Tensor | tuple) -> None:
        seen[HIDDEN].add(output[0] if isinstance(output, tuple) else output)

    def before(_layer: nn.Module, args: tuple) -> None:
        if not newest or newest[0] is not args[0]:  # query, key and value read one tensor
            newest[:] = [args[0]]
            seen[INPUTS].add(args[0])

    layers = [layer for block in blocks for layer in linear_layers(block).values() if layer.in_features == width]
    hooks = [block.register_forward_hook(after) for block in blocks]
    hooks += [layer.register_forward_pre_hook(before) for layer in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


class Outliers(Survey):
    """Reads the scored documents and keeps a few numbers of every layer's states."""

    name: ClassVar[str] = "outliers"

    def doubt(self, *_variants: object) -> str:
        """Reason why its documents say nothing of others; empty where there are enough."""
        if self.session.settings.effort != "quick":
            return ""
        documents, tokens = self.settings.documents, self.settings.tokens
        return f"only {documents} documents of {tokens} tokens are read at this effort; use --effort=normal"

    def states(self, method: Method | None = None) -> dict[str, Array]:
        """Numbers of every layer by kind and name, `[documents, layers]`, and of outliers by kind, `[documents]`.

        Args:
            method: the model is compressed with it; None for the dense one.
        """
        code = () if method is None else (type(method),)
        name = "dense" if method is None else repr(method)
        return dict(self.measured(name, partial(self._read, method), *code, label=str(method or "dense")))

    def _read(self, method: Method | None) -> Arrays:
        decoder, documents = self.session.decoder, self.windows.tokens
        batches = self.batches(off_domain=False) if method is not None and method.statistic else []
        made = (
            nullcontext()
            if method is None
            else compressed(method, self.blocks, forward=decoder.hidden, batches=batches)
        )
        width, found = decoder.head.in_features, list[dict[str, States]]()
        with made, self.session.progress.variant(f"outliers, {method or 'dense'}", documents.numel()) as advance:
            for document in documents:
                with torch.inference_mode(), watching(decoder.blocks, width) as seen:
                    decoder.hidden(document[None])
                found.append(seen)
                advance(len(document))
        return _arrays(found)


def _arrays(found: list[dict[str, States]]) -> Arrays:
    arrays: dict[str, Array] = {}
    for kind, names in KEPT.items():
        numbers = np.array([seen[kind].layers for seen in found])
        arrays |= {f"{kind} {name}": numbers[..., NUMBERS.index(name)].astype(np.float32) for name in names}
        arrays[f"{kind} outliers"] = np.array([seen[kind].outliers() for seen in found], dtype=np.float64)
    return arrays


def in_the_most(layers: Array) -> Array:
    """Value in the layer where it is largest, `[..., layers]` -> `[...]`."""
    return layers.max(-1)


def standing_out(over: Array, under: Array, of_layers: Callable[[Array], Array] = in_the_most) -> Interval:
    """Ratio of two numbers of the layers, geometric means over documents, in the layer that `of_layers` picks.

    Args:
        over: such as the largest magnitudes, `[documents, layers]`.
        under: such as the medians.
        of_layers: from logarithms `[..., layers]` to `[...]`.

    Raises:
        ValueError: a magnitude of zero, whose ratio is none.
    """
    return cluster_interval(np.log(over) - np.log(under), of_layers).map(np.exp)


def changed(after: dict[str, Array], before: dict[str, Array], kind: str = HIDDEN) -> Interval:
    """Ratio of largest to median in the layer where it is most, after compression over before."""

    def gap(pair: Array) -> Array:
        return in_the_most(pair[..., 0, :]) - in_the_most(pair[..., 1, :])

    logs = [np.log(own[f"{kind} largest"]) - np.log(own[f"{kind} median"]) for own in (after, before)]
    return cluster_interval(np.stack(logs, 1), gap).map(np.exp)
