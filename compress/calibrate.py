"""Walk a decoder one block at a time: measure a block's inputs, compress it, feed the next.

Memory: the calibration hidden states once (`batches x batch x tokens x width`), plus the statistics of one
block's layers. Each block is measured with its own weights but on the *compressed* outputs of those before it
(as Frantar et al. 2023 and Sun et al. 2023 do), so errors made early are seen later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from compress.statistics import Batch, Statistic

Visit = Callable[[int, dict[str, Statistic]], None]
"""Called with a block's number and its layers' statistics by name; expected to swap the layers."""
Chosen = Callable[[str, nn.Linear], bool]
"""Whether a layer, by its name within its block, is one to compress."""


@dataclass(frozen=True)
class BlockInput:
    """What one batch hands a decoder block: hidden states `[batch, tokens, width]`, and the rest."""

    hidden: Tensor
    args: tuple
    kwargs: dict

    def through(self, block: nn.Module) -> BlockInput:
        """What the same batch hands the next block."""
        out = block(self.hidden, *self.args, **self.kwargs)
        return replace(self, hidden=out[0] if isinstance(out, tuple) else out)


class _Captured(Exception):
    """The first block has been reached; there is no need to run the others."""


def _no_cache(value: object) -> object:
    """None for a cache of keys and values: the passes through a block would each add to it, and then see double."""
    return None if hasattr(value, "get_seq_length") else value


@torch.no_grad()
def block_inputs(forward: Callable[[Tensor], object], first: nn.Module, batches: Iterable[Tensor]) -> list[BlockInput]:
    """What would enter the first block when `forward` runs token batches `[batch, tokens]`."""
    seen: list[BlockInput] = []

    def capture(_block: nn.Module, args: tuple, kwargs: dict) -> None:
        hidden, *rest = args or (kwargs["hidden_states"],)
        kwargs = {key: _no_cache(value) for key, value in kwargs.items() if key != "hidden_states"}
        seen.append(BlockInput(hidden, tuple(map(_no_cache, rest)), kwargs))
        raise _Captured

    hook = first.register_forward_pre_hook(capture, with_kwargs=True)
    try:
        for batch in batches:
            try:
                forward(batch)
            except _Captured:
                continue
    finally:
        hook.remove()
    return seen


def every_layer(_name: str, _layer: nn.Linear) -> bool:
    """The choice of all linear layers."""
    return True


def linear_layers(block: nn.Module, chosen: Chosen = every_layer) -> dict[str, nn.Linear]:
    """The linear layers of a block by name, those that are chosen."""
    layers = {name: module for name, module in block.named_modules() if isinstance(module, nn.Linear)}
    return {name: layer for name, layer in layers.items() if chosen(name, layer)}


@contextmanager
def measuring(layers: dict[str, nn.Linear], statistic: type[Statistic]) -> Iterator[dict[str, Statistic]]:
    """While open, every input of each layer is added to that layer's statistic.

    Layers that are handed the same tensor one after another, as query, key and value are, share the work on it.
    """
    measured = {name: statistic(layer) for name, layer in layers.items()}
    newest: list[tuple[Tensor, Batch]] = []

    def adding(name: str) -> Callable[[nn.Module, tuple], None]:
        def add(_layer: nn.Module, args: tuple) -> None:
            if not newest or newest[0][0] is not args[0]:
                newest[:] = [(args[0], statistic.batch(args[0]))]
            measured[name].take(newest[0][1])

        return add

    hooks = [layer.register_forward_pre_hook(adding(name)) for name, layer in layers.items()]
    try:
        yield measured
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def calibrate_blocks(
    blocks: Sequence[nn.Module],
    inputs: list[BlockInput],
    statistic: type[Statistic],
    visit: Visit,
    chosen: Chosen = every_layer,
    *,
    done: Callable[[int], bool] = lambda _index: False,
) -> None:
    """Measure and visit every block in order. `inputs` is consumed: it moves along.

    A block that is `done` is visited without having been measured.

    Costs two passes of the calibration tokens through each block, one to measure it and one through what
    `visit` made of it; the last block needs no second one.
    """
    for index, block in enumerate(blocks):
        with measuring(linear_layers(block, chosen), statistic) as measured:
            for batch in [] if done(index) else inputs:
                batch.through(block)
        visit(index, measured)
        if index + 1 < len(blocks):
            inputs[:] = [batch.through(block) for batch in inputs]
