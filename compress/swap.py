"""Compression of a live model in place, with an account of what was done and skipped, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from compress.calibrate import BlockInput, Chosen, block_inputs, calibrated, every_layer, linear_layers
from compress.kept_blocks import KeptBlocks, origin_of
from compress.layers import CompressedModule
from compress.method import Method
from compress.size import Storage, total
from compress.statistics import Statistic


@dataclass(frozen=True)
class CompressedLayer:
    """Outcome for one layer, measured on what took its place."""

    name: str
    sparsity: float
    storage: Storage
    note: str = ""
    """Deviation from what was asked, such as a damping that had to be raised."""


@dataclass(frozen=True)
class SkippedModule:
    """Module with parameters that was left as it is, and the reason."""

    name: str
    reason: str
    parameters: int


@dataclass
class Compression:
    """State of a compressed model: what was compressed, what was skipped, and the way back."""

    compressed: list[CompressedLayer] = field(default_factory=list)
    skipped: list[SkippedModule] = field(default_factory=list)
    _originals: list[tuple[nn.Module, str, nn.Module]] = field(default_factory=list, repr=False)
    _settings: list[tuple[nn.Module, str, object]] = field(default_factory=list, repr=False)

    @property
    def storage(self) -> Storage:
        """Size of all compressed layers together."""
        return total(layer.storage for layer in self.compressed)

    @property
    def sparsity(self) -> float:
        """Share of zeros among all weights of the compressed layers."""
        storage = self.storage
        return sum(layer.sparsity * layer.storage.weights for layer in self.compressed) / storage.weights

    def swap(self, block: nn.Module, prefix: str, name: str, layer: CompressedModule) -> None:
        """Puts `layer` in the place called `name` and remembers what stood there."""
        if not isinstance(layer, nn.Module):
            raise TypeError(f"{prefix}.{name} would become a {type(layer).__name__}, which is no module")
        self._originals.append((block, name, block.get_submodule(name)))
        block.set_submodule(name, layer)
        self.compressed.append(
            CompressedLayer(f"{prefix}.{name}", layer.sparsity(), layer.storage, getattr(layer, "note", ""))
        )

    def tell(self, module: nn.Module, attribute: str, value: object) -> None:
        """Sets an attribute and remembers what it was."""
        self._settings.append((module, attribute, getattr(module, attribute)))
        setattr(module, attribute, value)

    def undo(self) -> None:
        """Puts the original layers and attributes back, the same objects. Doing it twice does nothing more."""
        while self._settings:
            setattr(*self._settings.pop())
        while self._originals:
            block, name, original = self._originals.pop()
            block.set_submodule(name, original)


@torch.no_grad()
def apply(
    method: Method,
    blocks: Sequence[nn.Module],
    *,
    forward: Callable[[Tensor], object] | None = None,
    batches: Iterable[Tensor] = (),
    model: nn.Module | None = None,
    chosen: Chosen = every_layer,
    progress: bool = False,
    keep: Path | None = None,
) -> Compression:
    """Compresses the linear layers of `blocks` in place; if anything fails, the model is as before.

    Args:
        method: what to do with each layer.
        blocks: the decoder blocks, in order.
        forward: runs the model on a token batch; needed by methods with a statistic.
        batches: calibration tokens, each `[batch, tokens]`.
        model: the whole model, so that the report can name what lies outside the blocks.
        chosen: which linear layers; by default all of them.
        progress: show a bar over blocks.
        keep: a folder for the blocks that are done; the same run, started again, goes on after them.

    Raises:
        ValueError: no linear layer was found, a weight holds NaN or infinity, calibration data is missing, or `keep`
            holds blocks of another run.
        TypeError: `keep` is given and the method's layers cannot be kept.
    """
    layers = {
        f"{i}.{name}": layer for i, block in enumerate(blocks) for name, layer in linear_layers(block, chosen).items()
    }
    _check(layers)
    outcome = Compression(skipped=_skipped(blocks, model, layers))
    batches = list(batches)
    kept = None if keep is None else KeptBlocks(keep, origin_of(method, blocks, batches))
    rule = method.across(layers)
    bar = tqdm(total=len(blocks), desc=str(method), unit=" blocks", disable=not progress, leave=False)
    try:
        with bar:
            inputs = _inputs(rule, blocks, forward, batches)
            own: dict[str, nn.Linear] = {}
            made: dict[str, CompressedModule] = {}
            for index, statistics in _measured(rule, blocks, inputs, chosen, kept):
                own = own or linear_layers(blocks[index], chosen)
                stage = {name: layer for name, layer in own.items() if not statistics or name in statistics}
                modules = _block_modules(rule, stage, statistics, index, kept)
                _replace(outcome, rule, blocks[index], index, modules)
                made |= modules
                if own.keys() <= {*stage, *made}:
                    _keep(kept, index, made)
                    own, made = {}, {}
                    bar.update()
    except BaseException:
        outcome.undo()
        raise
    return outcome


def _inputs(
    rule: Method, blocks: Sequence[nn.Module], forward: Callable[[Tensor], object] | None, batches: Iterable[Tensor]
) -> list[BlockInput]:
    if rule.statistic is None:
        return []
    inputs = [] if forward is None else block_inputs(forward, blocks[0], batches)
    if not inputs:
        raise ValueError(f"{rule} measures layer inputs; give forward and at least one calibration batch")
    return inputs


def _measured(
    rule: Method, blocks: Sequence[nn.Module], inputs: list[BlockInput], chosen: Chosen, kept: KeptBlocks | None
) -> Iterator[tuple[int, dict[str, Statistic]]]:
    """Numbers of the blocks in order, with the statistics of their layers where the method has one."""
    statistic = rule.measures()
    if statistic is None:
        return ((index, {}) for index in range(len(blocks)))
    done = (lambda _index: False) if kept is None else kept.done
    return calibrated(blocks, inputs, statistic, chosen, in_order=rule.true_sequential, done=done)


def _block_modules(
    rule: Method,
    layers: Mapping[str, nn.Linear],
    statistics: Mapping[str, Statistic],
    index: int,
    kept: KeptBlocks | None,
) -> Mapping[str, CompressedModule]:
    """Compressed layers of a block, by their names in it: those that are kept, or new ones."""
    if kept is not None and kept.done(index):
        return kept.load(index, next(iter(layers.values())).weight.device)
    return rule.compress_block(layers, statistics, prefix=f"{index}.")


def _keep(kept: KeptBlocks | None, index: int, modules: Mapping[str, CompressedModule]) -> None:
    if kept is not None and not kept.done(index):
        kept.save(index, modules)


def _replace(
    outcome: Compression, rule: Method, block: nn.Module, index: int, modules: Mapping[str, CompressedModule]
) -> None:
    for name, module in modules.items():
        outcome.swap(block, str(index), name, module)
    for owner, attribute, value in rule.settings(block, modules):  # type: ignore[arg-type]
        outcome.tell(owner, attribute, value)


@contextmanager
def compressed(method: Method, blocks: Sequence[nn.Module], **options: object) -> Iterator[Compression]:
    """Compression as a context: `apply` on entry, `undo` on exit, whatever happens in between."""
    outcome = apply(method, blocks, **options)  # type: ignore[arg-type]
    try:
        yield outcome
    finally:
        outcome.undo()


def _check(layers: dict[str, nn.Linear]) -> None:
    if not layers:
        raise ValueError(
            "no linear layer in the blocks, or none chosen: nothing would be compressed; is a layer type unsupported?"
        )
    for name, layer in layers.items():
        lowest, highest = layer.weight.detach().aminmax()  # both are NaN if any weight is
        if not (lowest.isfinite() and highest.isfinite()):
            raise ValueError(f"the weight of {name} holds NaN or infinity; repair the checkpoint before compressing")


def _skipped(blocks: Sequence[nn.Module], model: nn.Module | None, layers: dict[str, nn.Linear]) -> list[SkippedModule]:
    inside = {id(module) for block in blocks for module in block.modules()}
    taken = {id(layer) for layer in layers.values()}
    skipped = []
    for name, module in (model if model is not None else nn.ModuleList(blocks)).named_modules():
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        if own and id(module) not in taken:
            skipped.append(SkippedModule(name, _reason(module, id(module) in inside), own))
    return skipped


def _reason(module: nn.Module, inside: bool) -> str:
    if not inside:
        return "outside the decoder blocks"
    return "not chosen" if isinstance(module, nn.Linear) else f"{type(module).__name__} is no linear layer"
