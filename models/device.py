"""Devices that models compute on: what is asked of one before anything is measured, and how exactly it computes."""

from __future__ import annotations

import torch

from models.errors import InputError

TYPES = ("cpu", "cuda")
DTYPES = ("float32", "bfloat16")
"""Number formats that a dense model may compute in."""
GB = 10**9


def check_device(device: str) -> None:
    """Refuse a device that the suite does not know, or that this machine does not have.

    Raises:
        InputError: the name, what there is, and what to give instead.
    """
    try:
        named = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device {device!r} is none that PyTorch knows; use cpu, cuda or cuda:1") from error
    if named.type not in TYPES:
        raise InputError(
            f"device {device} was asked for and this suite computes on cpu and cuda alone, where its precision and "
            "kernels are known; use --device=cpu"
        )
    if named.type == "cpu" and named.index:
        raise InputError(f"device {device} was asked for and a machine has one CPU, without a number; use --device=cpu")
    if named.type == "cuda":
        _check_cuda(device, named.index)


def _check_cuda(device: str, index: int | None) -> None:
    if not torch.cuda.is_available():
        raise InputError(f"device {device} was asked for and this machine has no CUDA GPU; use --device=cpu")
    count = torch.cuda.device_count()
    if index is not None and index >= count:
        raise InputError(
            f"device {device} was asked for and this machine has {count} CUDA GPU(s), numbered from 0; "
            f"use --device=cuda:{count - 1}"
        )
    oldest = min((_architecture(name) for name in torch.cuda.get_arch_list()), default=(0, 0))
    if (own := capability(device)) is not None and own < oldest:
        raise InputError(
            f"{card(device)} has compute capability {own[0]}.{own[1]} and this PyTorch has kernels from "
            f"{oldest[0]}.{oldest[1]} on; install a PyTorch built for it or use --device=cpu"
        )


def _architecture(name: str) -> tuple[int, int]:
    """Compute capability of a name such as sm_90 or compute_120, of which the last digit is the minor one."""
    digits = "".join(letter for letter in name.partition("_")[2] if letter.isdigit())
    return int(digits[:-1]), int(digits[-1])


def check_memory(device: str, planned: float) -> None:
    """Refuse a GPU that has less memory free than the run plans with.

    Args:
        device: that was asked for; a CPU always passes.
        planned: gigabytes, of `--gpu-memory`.

    Raises:
        InputError: what is free, what is planned, and what to give instead.
    """
    if torch.device(device).type != "cuda":
        return
    free, total = (size / GB for size in torch.cuda.mem_get_info(device))
    if not free >= planned:
        raise InputError(
            f"{card(device)} ({device}) has {free:.1f} of {total:.1f} GB free and the run plans with {planned:g}; "
            f"give --gpu-memory={max(1, int(free))}, end what else computes there, or choose another with --device"
        )


def card(device: str) -> str | None:
    """Name of a GPU; None for a CPU."""
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else None


def capability(device: str) -> tuple[int, int] | None:
    """Compute capability of a GPU, major and minor; None for a CPU."""
    return torch.cuda.get_device_capability(device) if torch.device(device).type == "cuda" else None


def use(device: str) -> None:
    """Compute on a device from here on, as exactly as its formats say.

    A GPU becomes the current one, so that what asks for no device by number (memory peaks, synchronisation, accelerate)
    means the same. Products of float32 are float32: TensorFloat-32 has 10 bits of mantissa, an error above the
    divergence of an 8-bit model, and sums of bfloat16 products are kept in float32.
    """
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    named = torch.device(device)
    if named.type == "cuda" and named.index is not None:
        torch.cuda.set_device(named)


def out_of_memory(error: BaseException) -> str:
    """Sentence on a GPU that ran out of memory, which goes on with less; empty for any other error."""
    if not isinstance(error, torch.OutOfMemoryError):
        return ""
    return f"the GPU ran out of memory ({_first_line(error)}); give a lower --gpu-memory or --effort"


def broken(error: BaseException) -> str:
    """Sentence on a GPU or a driver that failed, after which this process cannot use it; empty for any other error."""
    if not isinstance(error, torch.AcceleratorError) or isinstance(error, torch.OutOfMemoryError):
        return ""
    return f"the GPU failed ({_first_line(error)}); what was measured is kept: go on with --resume"


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
