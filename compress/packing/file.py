"""Compressed model as one safetensors file of packed weights, and that file read back into the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from compress.files import written_aside
from compress.layers import SimulatedLinear
from compress.packing.encodings import DECODERS, Packed, smallest


def write_packed(model: nn.Module, path: Path) -> int:
    """Writes every parameter and buffer of a model once, each under its shortest encoding; the file's bytes.

    Weights on a grid are codes; those with zeros are values and a mask; those that share values are Huffman-coded; what
    is left has 16 bits a value. Names, shapes and tables are in the file and count.
    """
    tensors: dict[str, Tensor] = {}
    index: dict[str, dict[str, object]] = {}
    for name, tensor, layer in _once(model):
        grid = layer.grid if isinstance(layer, SimulatedLinear) and tensor is layer.weight else None
        packed = smallest(tensor.detach(), grid)
        index[name] = {"kind": packed.kind, **packed.numbers}
        tensors |= {f"{name}:{part}": value.cpu().contiguous() for part, value in packed.tensors.items()}
    with written_aside(path) as beside:
        save_file(tensors, beside, metadata={"weights": json.dumps(index)})
    return path.stat().st_size


def _once(model: nn.Module) -> Iterator[tuple[str, Tensor, nn.Module]]:
    """Parameters and kept buffers with their names and modules; of tied ones the first."""
    seen: set[int] = set()
    for prefix, module in model.named_modules():
        kept = {**module._parameters, **module._buffers}
        for own, tensor in kept.items():
            if tensor is None or own in module._non_persistent_buffers_set or id(tensor) in seen:
                continue
            seen.add(id(tensor))
            yield f"{prefix}.{own}" if prefix else own, tensor, module


def read_packed(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Reads the weights of a file one by one, in float32; whole numbers as they are.

    Raises:
        ValueError: no file of packed weights, or a damaged one.
    """
    try:
        with safe_open(path, framework="pt") as file:
            index = json.loads((file.metadata() or {})["weights"])
            parts: dict[str, list[str]] = {name: [] for name in index}
            for key in file.keys():
                parts[key.rpartition(":")[0]].append(key)
            for name, numbers in index.items():
                kind = numbers.pop("kind")
                tensors = {key.rpartition(":")[2]: file.get_tensor(key) for key in parts[name]}
                yield name, _read(Packed(kind, numbers, tensors))
    except (SafetensorError, KeyError, json.JSONDecodeError, FileNotFoundError) as error:
        raise ValueError(f"{path} is no file of packed weights ({error}); write it anew") from error


def _read(packed: Packed) -> Tensor:
    whole = packed.tensors.get("values")
    if packed.kind == "whole" and whole is not None and not whole.is_floating_point():
        return whole
    return DECODERS[packed.kind](packed)


@contextmanager
@torch.no_grad()
def as_written(model: nn.Module, path: Path) -> Iterator[None]:
    """Model with the weights that a file holds, as a context; those it had come back afterwards.

    Raises:
        ValueError: the file has other weights than the model.
    """
    own = {name: tensor for name, tensor, _ in _once(model)}
    before: list[tuple[Tensor, Tensor]] = []
    try:
        for name, read in read_packed(path):
            if name not in own or own[name].shape != read.shape:
                raise ValueError(f"{path} has {name} as {tuple(read.shape)}, which this model has not")
            value = read.to(own[name])
            if not torch.equal(value, own[name]):
                before.append((own[name], own[name].clone()))
                own[name].copy_(value)
        yield
    finally:
        for tensor, value in before:
            tensor.copy_(value)
