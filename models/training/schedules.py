"""Learning rates over the steps of a run."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

CONSTANT, COSINE, INVERSE_SQRT, INVERSE_SQRT_FLAT = "constant", "cosine", "inverse-sqrt", "inverse-sqrt-flat"
SCHEDULES = (CONSTANT, COSINE, INVERSE_SQRT, INVERSE_SQRT_FLAT)
"""inverse-sqrt rises linearly over the warm-up; inverse-sqrt-flat is T5's own, which stays level over it."""


def learning_rate_factor(schedule: str, *, warmup: int, steps: int) -> Callable[[int], float]:
    """Factor of the learning rate at each step, counted from 0.

    The inverse square roots are `sqrt(warmup / step)` after the warm-up (Raffel et al. 2020, §3.1.2, with the peak
    rather than 1 / sqrt(warmup) as the rate).

    Raises:
        ValueError: no such schedule, or an inverse square root without a warm-up, which sets its scale.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule {schedule!r} is not one of {', '.join(SCHEDULES)}")
    if schedule in (INVERSE_SQRT, INVERSE_SQRT_FLAT) and warmup < 1:
        raise ValueError(f"{schedule} takes its scale from the warm-up, which is {warmup} steps; give at least 1")

    def factor(step: int) -> float:
        if step < warmup:
            return 1.0 if schedule == INVERSE_SQRT_FLAT else step / warmup
        if schedule == COSINE:
            done = (step - warmup) / max(1, steps - warmup)
            return max(0.0, 0.5 * (1 + math.cos(math.pi * done)))
        return 1.0 if schedule == CONSTANT else math.sqrt(warmup / step)

    return factor


def scheduler(optimizer: Optimizer, schedule: str, *, warmup: int, steps: int) -> LambdaLR:
    """The schedule as torch has it."""
    return LambdaLR(optimizer, learning_rate_factor(schedule, warmup=warmup, steps=steps))
