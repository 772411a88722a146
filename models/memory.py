"""Memory that a computation takes at its peak, counted on the meta device before anything runs.

Every storage that an operation makes or meets counts once, from then until nothing holds it, so what autograd saves
for the backward pass is in it. What a kernel takes for itself while it runs, and what an allocator loses to rounding,
is not.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, UntypedStorage, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.device import GB

FILLED = 0.9
"""Share of the planned memory that counted tensors may fill; the rest is for kernels and the allocator."""
Module = TypeVar("Module", bound=nn.Module)


def room(gigabytes: float) -> int:
    """Bytes that counted tensors may take of the memory that is planned with, in gigabytes."""
    return int(gigabytes * GB * FILLED)


class _Live(TorchDispatchMode):
    """Counts the storages that live."""

    def __init__(self) -> None:
        super().__init__()
        self.known: weakref.WeakSet[UntypedStorage] = weakref.WeakSet()
        self.now = self.peak = 0

    def see(self, tensors: Iterable[object]) -> None:
        """Count the storages of tensors that were not seen yet, until they go."""
        for tensor in tensors:
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage()) not in self.known:
                self.known.add(storage)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._gone, storage.nbytes())
        self.peak = max(self.peak, self.now)

    def _gone(self, size: int) -> None:
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return True  # a look at a value, such as whether windows are packed; there is none to look at
        self.see(tree_leaves((args, kwargs)))
        results = func(*args, **(kwargs or {}))
        self.see(tree_leaves(results))
        return results


def peak_bytes(run: Callable[[], object], held: Iterable[Tensor] = ()) -> int:
    """Bytes of all storages that live at once at the worst moment of a computation.

    Args:
        run: computes, on the meta device where it is large.
        held: tensors that live all the while, whenever they are met.
    """
    with _Live() as live:
        live.see(held)
        run()
    return live.peak


def on_meta(model: Module) -> Module:
    """Copy of a model without its values, on the meta device; what it shares stays shared."""
    tensors = [*model.parameters(), *model.buffers()]
    memo: dict[int, Any] = {id(each): torch.empty_like(each, device="meta") for each in tensors}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(memo[id(parameter)], parameter.requires_grad)
    return copy.deepcopy(model, memo)
