"""Work that is done when its timer stops."""

from __future__ import annotations

from collections.abc import Callable

import torch


def settled(action: Callable[[], object], device: str) -> Callable[[], object]:
    """Action that ends when the device has no work of it left, which a GPU else does after the call is over."""

    def run() -> object:
        result = action()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        return result

    return run
