"""Check of a card before an hour on it is spent: `python -m bench.gpu.check` names it and runs every kernel once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import torch

from bench.gpu.kernels import Kernel, kernels, worst_error
from bench.gpu.pack import slug
from models.device import GB, capability, card, check_device, use
from models.errors import InputError


def identity(device: str) -> str:
    """Line on a card: its name, memory, compute capability, and the PyTorch that drives it."""
    free, total = (size / GB for size in torch.cuda.mem_get_info(device))
    major, minor = capability(device) or (0, 0)
    return (
        f"{card(device)}: {total:.1f} GB of memory, {free:.1f} free; compute capability {major}.{minor}; "
        f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}"
    )


def probe(kernel: Kernel, device: str) -> tuple[bool, str]:
    """Outcome of one kernel, true where it is exact or the card is too old to have it, and a line that says so."""
    own = capability(device)
    if own is None and not kernel.cpu:
        return True, f"{kernel.name}: for GPUs only"
    if own is not None and own < kernel.least:
        least = ".".join(map(str, kernel.least))
        return True, f"{kernel.name}: not on this card, begins with compute capability {least}"
    try:
        error = worst_error(kernel, device)
    except Exception as failure:  # whatever a driver says: the other kernels are still asked
        return False, f"{kernel.name}: FAILED, {type(failure).__name__}: {str(failure).partition(chr(10))[0]}"
    exact = error <= kernel.tolerance  # false for NaN
    return exact, f"{kernel.name}: {'ok' if exact else 'FAILED'}, off by {error:.1e} of at most {kernel.tolerance:g}"


def probes(device: str) -> Iterator[tuple[bool, str]]:
    """Outcome of every kernel in turn."""
    use(device)
    return (probe(kernel, device) for kernel in kernels())


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 where every kernel passes, 1 where one fails, 2 where there is no such device."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.check", description=str(__doc__).partition(":")[0])
    parser.add_argument("--device", default="cuda", help="cuda or cuda:1; the first GPU by default")
    parser.add_argument("--name", action="store_true", help="print the card's name for a file or a key, and no more")
    chosen = parser.parse_args(arguments)
    try:
        check_device(chosen.device)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    if chosen.name:
        print(slug(card(chosen.device) or chosen.device))
        return 0
    if capability(chosen.device):
        print(identity(chosen.device))
    failed = 0
    for passed, line in probes(chosen.device):
        print(line, flush=True)
        failed += not passed
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
