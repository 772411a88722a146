"""Accelerators of one device each, in a process that trains on several after one another."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState


def accelerator_for(device: str, precision: str) -> Accelerator:
    """An accelerator for one device, whatever an earlier one was for.

    accelerate keeps the device and the precision of the first for the whole process, and refuses or ignores others.
    Under its launcher, with several processes, they are the launcher's and stay.

    Args:
        device: cpu, cuda or cuda:1; a GPU with a number becomes the current one.
        precision: no or bf16.
    """
    if not AcceleratorState._shared_state or AcceleratorState().num_processes == 1:
        AcceleratorState._reset_state(reset_partial_state=True)  # accelerate has no public way
    named = torch.device(device)
    if named.type == "cuda" and named.index is not None:
        torch.cuda.set_device(named)
    return Accelerator(cpu=named.type == "cpu", mixed_precision=precision)


def generators_of(device: torch.device) -> list[int]:
    """Numbers of the GPUs whose generators a training on a device draws from.

    PyTorch takes all GPUs where it is not told, and warns where there are several.
    """
    if device.type != "cuda":
        return []
    return [torch.cuda.current_device() if device.index is None else device.index]
