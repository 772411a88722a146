"""Operations of a pretended device: where each tensor is, which may meet, and what is launched and waited for.

A tensor's values are real and on the CPU; an attribute of its storage says on which device it is pretended to be, so
views share it. Places are checked and counted at every operation that PyTorch's dispatcher sees, in backward passes and
under `vmap` too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
CPU = torch.device("cpu")
IDLE = {aten.lift_fresh.default, aten._has_compatible_shallow_copy_type.default}
"""Operations that take no work."""
COPIES = {aten.copy_.default, aten.copy.default, aten._to_copy.default} | IDLE
INDEXED = {aten.index.Tensor, aten._unsafe_index.Tensor}
INDEX_PUT = {aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
TAKES_SCALARS = {aten.masked_fill.Tensor, aten.masked_fill_.Tensor, aten.fill.Tensor, aten.fill_.Tensor}
"""Operations besides the pointwise ones that take a tensor of no dimension from the CPU."""
READS = {aten._local_scalar_dense.default, aten.equal.default, aten.is_nonzero.default}
"""Operations that give Python a value, which it waits for."""
SIZES = {
    aten.nonzero.default,
    aten.masked_select.default,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.unique_consecutive.default,
    aten.repeat_interleave.Tensor,
    aten.bincount.default,
}
"""Operations whose result has a size that depends on values, which the host waits for."""


class DevicesMixed(RuntimeError):
    """An operation met tensors of several devices that PyTorch does not let meet."""


@dataclass
class Counts:
    """Counts of operations on the pretended device, by name."""

    launches: Counter[str] = field(default_factory=Counter)
    synchronisations: Counter[str] = field(default_factory=Counter)
    """Operations for whose result the host waits."""


def tensors_in(values: Iterable[object]) -> list[Tensor]:
    """Tensors among arguments, in lists and dictionaries too."""
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += tensors_in(value)
        elif isinstance(value, dict):
            found += tensors_in(value.values())
    return found


def bare(tensor: Tensor) -> Tensor:
    """Tensor inside what `vmap` and `grad` wrap around it."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor


def storage_of(tensor: Tensor) -> torch.UntypedStorage | None:
    """Storage of a tensor; None where it has none, as sparse ones."""
    try:
        with torch._C.DisableTorchFunction():
            return bare(tensor).untyped_storage()
    except (RuntimeError, NotImplementedError):
        return None


def device_of(tensor: Tensor) -> torch.device:
    """Device that a tensor is on, pretended or not."""
    pretended = getattr(storage_of(tensor), "pretended", None)
    if pretended is not None:
        return pretended
    with torch._C.DisableTorchFunction():
        return bare(tensor).device


def place(tensor: Tensor, device: torch.device) -> Tensor:
    """Puts a tensor, and all that share its storage, on a device."""
    storage = storage_of(tensor)
    if storage is not None:
        storage.pretended = None if device == CPU else device
    return tensor


def on_cuda(devices: Iterable[torch.device]) -> torch.device | None:
    """First pretended device among some."""
    return next((device for device in devices if device.type == "cuda"), None)


Placed = list[tuple[Tensor, torch.device]]
"""Tensors that an operation is given, with their devices."""


def _may_meet(func: torch._ops.OpOverload, args: tuple, out: object, inputs: Placed, cuda: torch.device) -> bool:
    """PyTorch's rule for tensors of several devices: copies, indices from the CPU, and its tensors of no dimension."""
    if func in COPIES:
        return True
    strangers = [tensor for tensor, device in inputs if device != cuda]
    if any(device not in (cuda, CPU) for _, device in inputs):
        return False
    if func in INDEXED or func in INDEX_PUT:
        values = tensors_in(args[2:3])
        return device_of(args[0]) == cuda and all(device_of(v) == cuda or v.dim() == 0 for v in values)
    written = tensors_in([args[0], out]) if func._schema.is_mutable else []
    if any(device_of(tensor) == CPU for tensor in written):
        return False
    takes = torch.Tag.pointwise in func.tags or func in TAKES_SCALARS or "_foreach_" in func.name()
    return takes and all(tensor.dim() == 0 for tensor in strangers)


def _is_boolean(index: Tensor | None) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)


class Operations(TorchDispatchMode):
    """Places what operations give, refuses those that mix devices, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counts()
        self.enclosing: list[torch.device | None] = []
        """Devices of the arguments of the functions that are running, the innermost last."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run one operation."""
        kwargs = kwargs or {}
        inputs = [(tensor, device_of(tensor)) for tensor in tensors_in([*args, *kwargs.values()])]
        cuda = on_cuda(device for _, device in inputs)
        if cuda is not None:
            self._check(func, args, kwargs, inputs, cuda)
        outputs = func(*args, **kwargs)
        if cuda is not None:
            self._count(func, args)
            self._place(func, inputs, outputs, cuda)
        elif not inputs and self.enclosing and self.enclosing[-1] is not None:
            for made in tensors_in([outputs]):  # C++ makes it with its arguments' options
                place(made, self.enclosing[-1])
        return outputs

    def _check(self, func, args: tuple, kwargs: dict, inputs: Placed, cuda: torch.device) -> None:
        if isinstance(kwargs.get("generator"), torch.Generator):
            raise RuntimeError(f"Expected a 'cuda' device type for generator but found 'cpu' ({func})")
        mixed = any(device != cuda for _, device in inputs)
        if mixed and not _may_meet(func, args, kwargs.get("out"), inputs, cuda):
            shapes = ", ".join(f"{device} {[*tensor.shape]}" for tensor, device in inputs)
            raise DevicesMixed(f"Expected all tensors to be on the same device: {func} of {shapes}")

    def _count(self, func, args: tuple) -> None:
        name = func.name().removeprefix("aten::")
        to_cpu = func is aten.copy_.default and device_of(args[0]) == CPU
        by_mask = (func in INDEXED or func in INDEX_PUT) and any(map(_is_boolean, args[1]))
        if func in READS or func in SIZES or to_cpu or by_mask:
            self.counts.synchronisations[name] += 1
        if func not in READS and func not in IDLE and not func.is_view:
            self.counts.launches[name] += 1

    def _place(self, func, inputs: Placed, outputs: object, cuda: torch.device) -> None:
        if func is aten.copy_.default:
            return
        device = inputs[0][1] if func in COPIES else cuda
        for tensor in tensors_in([outputs]):
            place(tensor, device)
