"""A pretended CUDA device, so that a machine without one runs the code that one would run.

Values are computed on the CPU. What is seen: operations that mix devices, tensors left on the CPU, calls that a GPU
refuses, and how often the host launches and waits. What is not: kernels that CUDA lacks, its own warnings, its
rounding, which attention kernel is taken, memory and time; nor a CPU tensor that Python makes in a backward pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from tests.pretend_cuda_stubs import Driver, stubbed
from tests.pretend_operations import CPU, Counts, Operations, device_of, on_cuda, place, storage_of, tensors_in

__all__ = ["pretended_cuda"]


def _index(tensor: Tensor) -> int:
    index = device_of(tensor).index
    return -1 if index is None else index


ANSWERS: dict[object, Callable[[Tensor], object]] = {
    Tensor.device.__get__: device_of,
    Tensor.is_cuda.__get__: lambda tensor: device_of(tensor).type == "cuda",
    Tensor.is_cpu.__get__: lambda tensor: device_of(tensor) == CPU,
    Tensor.get_device: _index,
}
"""Questions about a tensor's place."""


class Placement(TorchFunctionMode):
    """Answers where tensors are, and moves them."""

    def __init__(self, operations: Operations, driver: Driver) -> None:
        super().__init__()
        self.operations, self.driver = operations, driver
        self.own = {
            Tensor.to: self._to,
            Tensor.cpu: lambda tensor, **_: self._moved(tensor, CPU),
            Tensor.cuda: lambda tensor, device=None, **_: self._moved(tensor, driver.chosen(device)),
            Tensor.type_as: self._to,
            Tensor.numpy: self._numpy(Tensor.numpy),
            Tensor.__array__: self._numpy(Tensor.__array__),
            Tensor.tolist: self._list,
            Tensor.__deepcopy__: self._deepcopy,
        }

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Run one function."""
        kwargs = dict(kwargs or {})
        if func in ANSWERS:
            return ANSWERS[func](*args, **kwargs)
        if getattr(func, "__name__", "") in ("__get__", "__set__"):
            return func(*args, **kwargs)
        given = tensors_in([*args, *kwargs.values()])
        self.operations.enclosing.append(on_cuda(map(device_of, given)))
        try:
            if func in self.own:
                return self.own[func](*args, **kwargs)
            return self._made(func, args, kwargs, given)
        finally:
            self.operations.enclosing.pop()

    def _made(self, func, args: tuple, kwargs: dict, given: list[Tensor]):
        """Outcome of a function that may be told a device."""
        if kwargs.get("device") is None or torch.device(kwargs["device"]).type == "meta":
            return func(*args, **kwargs)
        device = self.driver.chosen(kwargs["device"])
        if device != CPU and kwargs.get("generator") is not None:
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        outputs = func(*args, **{**kwargs, "device": CPU})
        if isinstance(outputs, Tensor) and storage_of(outputs) in map(storage_of, given):
            return self._moved(outputs, device)  # `as_tensor` gives what it was given
        for tensor in tensors_in([outputs]):
            place(tensor, device)
        return outputs

    def _moved(self, tensor: Tensor, device: torch.device) -> Tensor:
        before = device_of(tensor)
        if before == device:
            return tensor
        if device == CPU:
            self.operations.counts.synchronisations["to the CPU"] += 1
        return place(tensor.clone(), device)

    def _to(self, tensor: Tensor, *args, copy: bool = False, **kwargs) -> Tensor:
        other = next(iter(tensors_in([*args, *kwargs.values()])), None)
        if other is not None:
            device, dtype = device_of(other), other.dtype
        else:
            device, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)
        if device is not None and device.type == "meta":
            return Tensor.to(tensor, *args, **kwargs)
        found = tensor if dtype is None else Tensor.to(tensor, dtype)
        found = found if device is None else self._moved(found, self.driver.chosen(device))
        return found.clone() if copy and found is tensor else found

    def _numpy(self, func) -> Callable:
        def given(tensor: Tensor, *args, **kwargs):
            if device_of(tensor) != CPU:
                raise TypeError(
                    f"can't convert {device_of(tensor)} device type tensor to numpy. Use Tensor.cpu() first"
                )
            return func(tensor, *args, **kwargs)

        return given

    def _list(self, tensor: Tensor) -> object:
        if device_of(tensor) != CPU:
            self.operations.counts.synchronisations["tolist"] += 1
        return Tensor.tolist(tensor)

    def _deepcopy(self, tensor: Tensor, memo: dict) -> Tensor:
        with _disable_current_modes():  # the copy goes through a bare storage, which has no place
            copied = Tensor.__deepcopy__(tensor, memo)
        return place(copied, device_of(tensor))


@contextlib.contextmanager
def pretended_cuda(devices: int = 1, capability: tuple[int, int] = (9, 0)) -> Iterator[Counts]:
    """Pretends CUDA devices while the context is open, and counts what is launched on them and waited for.

    Args:
        devices: how many there are.
        capability: their compute capability.

    Raises:
        DevicesMixed: an operation met tensors of several devices. PyTorch's own error there is a RuntimeError too.
    """
    driver, operations = Driver(devices, capability), Operations()
    with stubbed(driver), Placement(operations, driver), operations:
        yield operations.counts
