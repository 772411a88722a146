"""Calibration: block after block, the statistics of its layers' inputs, then what the compressed block gives the next.

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

Chosen = Callable[[str, nn.Linear], bool]
"""Choice of the layers to compress: from a layer's name within its block, and the layer."""


@dataclass(frozen=True)
class BlockInput:
    """Input of a decoder block for one batch: hidden states `[batch, tokens, width]`, and the rest."""

    hidden: Tensor
    args: tuple
    kwargs: dict

    def through(self, block: nn.Module) -> BlockInput:
        """Input of the next block, for the same batch."""
        out = block(self.hidden, *self.args, **self.kwargs)
        return replace(self, hidden=out[0] if isinstance(out, tuple) else out)


class _Captured(Exception):
    """End of a forward pass at the first block; the others need not run."""


def _no_cache(value: object) -> object:
    """Argument, None for a cache of keys and values: each pass through a block would add to it, and then see double."""
    return None if hasattr(value, "get_seq_length") else value


@torch.no_grad()
def block_inputs(forward: Callable[[Tensor], object], first: nn.Module, batches: Iterable[Tensor]) -> list[BlockInput]:
    """Inputs of the first block when `forward` runs token batches `[batch, tokens]`."""
    inputs: list[BlockInput] = []

    def capture(_block: nn.Module, args: tuple, kwargs: dict) -> None:
        hidden, *rest = args or (kwargs["hidden_states"],)
        kwargs = {key: _no_cache(value) for key, value in kwargs.items() if key != "hidden_states"}
        inputs.append(BlockInput(hidden, tuple(map(_no_cache, rest)), kwargs))
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
    return inputs


def every_layer(_name: str, _layer: nn.Linear) -> bool:
    """Choice of all linear layers."""
    return True


def linear_layers(block: nn.Module, chosen: Chosen = every_layer) -> dict[str, nn.Linear]:
    """Linear layers of a block by name, those that are chosen."""
    layers = {name: module for name, module in block.named_modules() if isinstance(module, nn.Linear)}
    return {name: layer for name, layer in layers.items() if chosen(name, layer)}


@contextmanager
def measuring(
    layers: dict[str, nn.Linear], statistic: type[Statistic], shape: Callable[[], tuple[int, ...]] | None = None
) -> Iterator[dict[str, Statistic]]:
    """Statistics of layers by name, to which every input of a layer is added as long as the context is open.

    Layers that are handed the same tensor one after another, as query, key and value are, share the work on it.

    Args:
        layers: by name.
        statistic: of each.
        shape: gives the sequences and tokens of the batch at work, for layers that are handed all tokens in one row
            (OPT's networks are).
    """
    statistics = {name: statistic(layer) for name, layer in layers.items()}
    newest: list[tuple[Tensor, Batch]] = []

    def adding(name: str) -> Callable[[nn.Module, tuple], None]:
        def add(_layer: nn.Module, args: tuple) -> None:
            if not newest or newest[0][0] is not args[0]:
                flat = shape is not None and args[0].ndim == 2
                newest[:] = [(args[0], statistic.batch(args[0].unflatten(0, shape()) if flat else args[0]))]
            statistics[name].take(newest[0][1])

        return add

    hooks = [layer.register_forward_pre_hook(adding(name)) for name, layer in layers.items()]
    try:
        yield statistics
    finally:
        for hook in hooks:
            hook.remove()


def reading_order(block: nn.Module, batch: BlockInput, chosen: Chosen = every_layer) -> list[list[str]]:
    """Names of a block's layers in the order in which a pass reaches them; those that read the same tensor together."""
    stages: list[list[str]] = []
    newest: list[Tensor] = []

    def reached(name: str) -> Callable[[nn.Module, tuple], None]:
        def note(_layer: nn.Module, args: tuple) -> None:
            if not newest or newest[0] is not args[0]:
                newest[:] = [args[0]]
                stages.append([])
            stages[-1].append(name)

        return note

    hooks = [layer.register_forward_pre_hook(reached(name)) for name, layer in linear_layers(block, chosen).items()]
    try:
        batch.through(block)
    finally:
        for hook in hooks:
            hook.remove()
    return stages


@torch.no_grad()
def calibrated(
    blocks: Sequence[nn.Module],
    inputs: list[BlockInput],
    statistic: type[Statistic],
    chosen: Chosen = every_layer,
    *,
    in_order: bool = False,
    done: Callable[[int], bool] = lambda _index: False,
) -> Iterator[tuple[int, dict[str, Statistic]]]:
    """Number and layers' statistics, by name, of every block in order.

    The caller swaps the block's layers before it asks for the next: only then is the block's output worked out, which
    the next one is measured on. No hook is on a layer while the caller has its turn. Costs two passes of the
    calibration tokens through each block; the last needs no second one.

    Args:
        blocks: the decoder blocks, in order.
        inputs: of the first block; consumed, they move along.
        statistic: measured for every layer.
        chosen: the layers to measure.
        in_order: a block comes once for every group of layers that read the same tensor, in the order of a pass, each
            measured on what the caller made of those before it (the authors' `true-sequential`). Costs one pass more
            for every further group.
        done: says of a block's number that nothing need be measured there; its statistics stay empty.
    """
    now: list[BlockInput] = []
    for index, block in enumerate(blocks):
        layers = linear_layers(block, chosen)
        batches = [] if done(index) else inputs
        for names in reading_order(block, batches[0], chosen) if in_order and batches else [list(layers)]:
            own = {name: layers[name] for name in names}
            with measuring(own, statistic, lambda: now[0].hidden.shape[:2]) as statistics:
                for batch in batches:
                    now[:] = [batch]
                    batch.through(block)
            yield index, statistics
        if index + 1 < len(blocks):
            inputs[:] = [batch.through(block) for batch in inputs]
