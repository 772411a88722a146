"""Stand-ins for what `torch.cuda` and its neighbours ask a driver, on a machine that has none."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch

MEMORY_BYTES = 80 << 30
NO_ORDINAL = "CUDA error: invalid device ordinal"


class Driver:
    """Number of the pretended devices, their compute capability, and which of them is current."""

    def __init__(self, devices: int, capability: tuple[int, int]) -> None:
        self.devices, self.capability, self.current = devices, capability, 0

    def chosen(self, device: Any = None) -> torch.device:
        """Device with its number; the current one where none is given.

        Raises:
            RuntimeError: there is no such device.
        """
        device = torch.device("cuda", device) if isinstance(device, int) else torch.device(device or "cuda")
        if device.type != "cuda":
            return device
        index = self.current if device.index is None else device.index
        if index >= self.devices:
            raise RuntimeError(f"{NO_ORDINAL}: cuda:{index} of {self.devices}")
        return torch.device("cuda", index)

    def set_device(self, device: Any) -> None:
        """Makes a device the current one."""
        self.current = self.chosen(device).index

    def exchange(self, index: int) -> int:
        """Makes a device the current one and gives the one before; nothing happens for a negative number."""
        before = self.current
        if index >= 0:
            self.set_device(index)
        return before

    def properties(self, device: Any = None) -> SimpleNamespace:
        """Properties that libraries read."""
        major, minor = self.capability
        return SimpleNamespace(name=self.name(device), major=major, minor=minor, total_memory=MEMORY_BYTES)

    def name(self, device: Any = None) -> str:
        """Name of a device."""
        return f"pretended device {self.chosen(device).index}"

    def answers(self) -> dict[str, Callable]:
        """Functions in the place of those of `torch.cuda`, by name."""
        return {
            "is_available": lambda: True,
            "is_initialized": lambda: True,
            "is_bf16_supported": lambda *_args, **_kwargs: True,
            "device_count": lambda: self.devices,
            "current_device": lambda: self.current,
            "set_device": self.set_device,
            "_exchange_device": self.exchange,
            "_maybe_exchange_device": self.exchange,
            "get_device_name": self.name,
            "get_device_capability": lambda device=None: self.chosen(device) and self.capability,
            "get_device_properties": self.properties,
            "mem_get_info": lambda device=None: self.chosen(device) and (MEMORY_BYTES, MEMORY_BYTES),
            "max_memory_allocated": lambda device=None: self.chosen(device) and 1,
            "memory_allocated": lambda device=None: self.chosen(device) and 1,
            "reset_peak_memory_stats": self.chosen,
            "synchronize": self.chosen,
            "get_arch_list": lambda: ["sm_90"],
            "empty_cache": lambda: None,
            "manual_seed": lambda _seed: None,
            "manual_seed_all": lambda _seed: None,
            "get_rng_state": lambda _device="cuda": torch.zeros(16, dtype=torch.uint8),
            "set_rng_state": lambda _state, _device="cuda": None,
            "get_rng_state_all": lambda: [torch.zeros(16, dtype=torch.uint8) for _ in range(self.devices)],
            "set_rng_state_all": lambda _states: None,
        }

    def location(self, storage: torch.UntypedStorage) -> str | None:
        """Location that `torch.save` writes for a storage."""
        pretended = getattr(storage, "pretended", None)
        return None if pretended is None else str(pretended)

    def restore(self, storage: torch.UntypedStorage, location: str) -> torch.UntypedStorage | None:
        """Storage where `torch.load` wants it."""
        if not location.startswith("cuda"):
            return None
        storage.pretended = self.chosen(location)
        return storage


def semi_structured(weight: torch.Tensor) -> torch.Tensor:
    """Weight as it is; PyTorch warns of the format at its first use, and the products with it are the dense ones'."""
    warnings.warn("The PyTorch API of SparseSemiStructuredTensor is in prototype stage", UserWarning, stacklevel=2)
    return weight


@contextlib.contextmanager
def stubbed(driver: Driver) -> Iterator[None]:
    """Puts a driver's answers in the place of PyTorch's own while the context is open."""
    places = [(5, driver.location, driver.restore), *torch.serialization._package_registry]
    with (
        patch.multiple(torch.cuda, **driver.answers()),
        patch.object(torch.serialization, "_package_registry", places),
        patch.object(torch.sparse, "to_sparse_semi_structured", semi_structured),
    ):
        yield
