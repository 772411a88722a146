"""Time of one thing over another, measured in turn so that the machine's moods strike both."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from bench.verdict.documents import Interval, difference_ratio


def seconds(action: Callable[[], object], rounds: int = 1) -> float:
    """The fastest of some runs."""
    return min(_once(action) for _ in range(rounds))


def _once(action: Callable[[], object]) -> float:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    started = time.perf_counter()
    action()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def paired_ratio(first: Callable[[], object], second: Callable[[], object], *, rounds: int) -> Interval:
    """The geometric mean of the time of the first over that of the second, over rounds that run both in turn."""
    for action in (first, second):
        action()
    times = np.array([(_once(first), _once(second)) for _ in range(rounds)])
    return difference_ratio(np.log(times[:, 0]), np.log(times[:, 1]))
