"""Logits of a teacher, computed once and kept on disk for every student and seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from compress.files import written_aside

Compute = Callable[[slice], Tensor]
"""Computes the teacher's logits on a range of examples, `[examples, tokens, vocabulary]`."""


def cached_logits(path: Path, examples: int, compute: Compute, *, batch: int = 256) -> Tensor:
    """Logits `[examples, tokens, vocabulary]` float32, mapped from the file and not held in memory.

    A file that is there is used as it is: name it by all that decides its content. It is written aside and moved into
    place when complete.

    Raises:
        ValueError: no example, or the file there has another number of them.
    """
    if examples < 1:
        raise ValueError("there is no example to compute logits of")
    if not path.exists():
        _write(path, examples, compute, batch)
    kept = np.load(path, mmap_mode="r", allow_pickle=False)
    if len(kept) != examples:
        raise ValueError(f"{path} holds the logits of {len(kept)} examples, not {examples}; delete it")
    # Copied on write: torch wants memory that it may write to, and the file stays as it is.
    return torch.from_numpy(np.memmap(path, kept.dtype, "c", kept.offset, kept.shape))


@torch.no_grad()
def _write(path: Path, examples: int, compute: Compute, batch: int) -> None:
    logits = None
    with written_aside(path) as beside:
        for start in range(0, examples, batch):
            part = slice(start, min(start + batch, examples))
            own = compute(part).float().cpu().numpy()
            if logits is None:
                shape = (examples, *own.shape[1:])
                logits = np.lib.format.open_memmap(beside, mode="w+", dtype=np.float32, shape=shape)
            logits[part] = own
        assert logits is not None  # noqa: S101  # there is at least one example
        logits.flush()
