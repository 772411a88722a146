"""Tensors that a model holds, and the bytes they take: a packed weight counts as its codes, scales and zero points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, UntypedStorage, nn

from models.sources import packed_file, weight_bytes

DEPTH = 4
"""Objects inside one another that are looked into; bitsandbytes keeps scales of scales two states down."""

FLOAT_BYTES = 2
"""Bytes of the narrowest float that a GGUF file holds one by one."""


def held_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of all that a model computes with, each packed weight as the plain tensors it is made of.

    Tensor classes say what they are made of (`__tensor_flatten__`: torchao, optimum-quanto). Others keep it in
    attributes: bitsandbytes in those of a parameter and of a layer's state.
    """
    for name, module in model.named_modules():
        own = {key: value for key, value in vars(module).items() if not key.startswith("_")}
        for key, thing in (module._parameters | module._buffers | own).items():
            yield from _inside(f"{name}.{key}".lstrip("."), thing, DEPTH)


def _inside(name: str, thing: Any, depth: int) -> Iterator[tuple[str, Tensor]]:
    """Plain tensors that a tensor or the state of a layer is made of."""
    if not depth or isinstance(thing, nn.Module | type) or callable(thing):
        return
    if isinstance(thing, Tensor) and hasattr(thing, "__tensor_flatten__"):
        parts: Mapping[str, Any] = {part: getattr(thing, part) for part in thing.__tensor_flatten__()[0]}  # type: ignore[attr-defined]
    elif isinstance(thing, Mapping):
        parts = thing
    elif isinstance(thing, list | tuple):
        parts = {str(number): part for number, part in enumerate(thing)}
    else:
        parts = getattr(thing, "__dict__", {})
        if isinstance(thing, Tensor):
            yield name, thing
    for part, value in parts.items():
        yield from _inside(f"{name}.{part}", value, depth - 1)


def held_bytes(model: nn.Module) -> int:
    """Bytes of memory that a model takes: every storage of its tensors once, however many share it."""
    storages: set[UntypedStorage] = {tensor.untyped_storage() for _, tensor in held_tensors(model)}
    return sum(storage.nbytes() for storage in storages)


def dense_bytes(name: str, model: nn.Module) -> int:
    """Bytes on disk that those of a dense model's compressed copies are compared with.

    A folder counts as the weights that are read of it, and so does a GGUF file of plain floats. A model whose file
    packs them, of less than two bytes a weight, counts as they take unpacked, in the dtype that it is loaded in: a copy
    at full width is no larger. What the file itself takes is `models.sources.weight_bytes`.

    Args:
        name: as `models.load.load` was given it.
        model: loaded.

    Raises:
        InputError: no such model.
    """
    on_disk, weights = weight_bytes(name), list(model.parameters())
    if packed_file(name) is None or on_disk >= FLOAT_BYTES * sum(weight.numel() for weight in weights):
        return on_disk
    return sum(weight.numel() * weight.element_size() for weight in weights)
