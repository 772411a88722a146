"""Folding of input scales into the modules before a layer, where that leaves every output the same.

The modules are found by experiment rather than by name: with the outputs of what comes before divided by powers of two,
which is exact in floating point, the layers' inputs must be divided by the same, and nothing else may change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from compress.calibrate import BlockInput, linear_layers
from compress.layers import SimulatedLinear
from compress.swap import Compression


@torch.no_grad()
def producers(block: nn.Module, batch: BlockInput) -> dict[str, str]:
    """Finds the module into which each linear layer's input scale can be folded, by their names in the block.

    That is the norm before query, key and value, or the up projection of a gated MLP, or fc1 where ReLU follows it.
    Layers that have none are left out, such as attention's last where heads share values, or fc2 after GELU.

    Args:
        block: a decoder block; it is as before afterwards.
        batch: what enters it; a few tokens are enough.
    """
    layers = linear_layers(block)
    inputs, output = _observed(block, batch, layers, {})
    before: dict[str, str] = {}
    for name, module in block.named_modules():
        width = _outputs(module)
        if not width:
            continue
        scale = 2.0 ** (torch.arange(width, device=batch.hidden.device) % 3)
        with _divided(module, scale):
            moved, _ = _observed(block, batch, layers, {})
            readers = [
                layer
                for layer, tensor in inputs.items()
                if tensor.shape[-1] == width and tensor.any() and torch.equal(moved[layer] * scale.to(tensor), tensor)
            ]
            _, again = _observed(block, batch, layers, dict.fromkeys(readers, scale))
        if readers and torch.equal(again, output):
            for layer in readers:
                before.setdefault(layer, name)
    return before


def _outputs(module: nn.Module) -> int:
    """Number of outputs of a linear layer or a norm; 0 for anything else."""
    weight = getattr(module, "weight", None)
    if isinstance(module, nn.Linear):
        return module.out_features
    return len(weight) if isinstance(weight, nn.Parameter) and weight.ndim == 1 else 0


def _observed(
    block: nn.Module, batch: BlockInput, layers: Mapping[str, nn.Linear], times: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], Tensor]:
    """Inputs of each layer and output of the block, some layers' inputs multiplied on the way."""
    seen: dict[str, Tensor] = {}

    def watching(name: str) -> Callable[[nn.Module, tuple], tuple | None]:
        def watch(_layer: nn.Module, args: tuple) -> tuple | None:
            seen[name] = args[0]
            return (args[0] * times[name].to(args[0]), *args[1:]) if name in times else None

        return watch

    hooks = [layer.register_forward_pre_hook(watching(name)) for name, layer in layers.items()]
    try:
        return seen, batch.through(block).hidden
    finally:
        for hook in hooks:
            hook.remove()


def _divide(module: nn.Module, scale: Tensor) -> dict[str, nn.Parameter]:
    """Weight and bias of a norm or a linear layer whose outputs are divided by a scale."""
    parameters = {name: getattr(module, name, None) for name in ("weight", "bias")}
    return {
        name: nn.Parameter(
            (value / scale.to(value).view(-1, *[1] * (value.ndim - 1))).to(value.dtype), requires_grad=False
        )
        for name, value in parameters.items()
        if isinstance(value, nn.Parameter)
    }


@contextmanager
def _divided(module: nn.Module, scale: Tensor) -> Iterator[None]:
    before = {name: getattr(module, name) for name in ("weight", "bias") if getattr(module, name, None) is not None}
    for name, value in _divide(module, scale).items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


@torch.no_grad()
def fold_scales(outcome: Compression, blocks: Sequence[nn.Module], before: Mapping[str, str]) -> int:
    """Folds the input scales of compressed layers into the modules before them; gives the number of layers.

    Args:
        outcome: of `compress.swap.apply` on the blocks; its `undo` takes this back too.
        blocks: the decoder blocks.
        before: of `producers`.

    Raises:
        ValueError: layers that read the same outputs have different scales.
    """
    folded = 0
    for index, block in enumerate(blocks):
        for producer in sorted(set(before.values())):
            readers = [block.get_submodule(name) for name, module in before.items() if module == producer]
            scales: list[Tensor | None] = [getattr(layer, "input_scale", None) for layer in readers]
            first = next((scale for scale in scales if scale is not None), None)
            if first is None:
                continue
            if any(scale is None or not scale.equal(first) for scale in scales):
                raise ValueError(
                    f"block {index}: the layers that read {producer} have different scales, and it has room for one"
                )
            _fold(outcome, block.get_submodule(producer), first)
            for layer in readers:
                outcome.tell(layer, "input_scale", None)
            folded += len(readers)
    return folded


def _fold(outcome: Compression, module: nn.Module, scale: Tensor) -> None:
    for name, value in _divide(module, scale).items():
        outcome.tell(module, name, value)
    grid = module.grid if isinstance(module, SimulatedLinear) else None
    if grid is not None:
        outcome.tell(module, "grid", replace(grid, scales=grid.scales / scale.to(grid.scales)[:, None]))
