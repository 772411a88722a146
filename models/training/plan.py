"""Settings of a training run, the record that it leaves, and the error of one that diverged."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from models.training.schedules import learning_rate_factor

Loss = Callable[[nn.Module, Tensor], Tensor]
"""Function from a model and tokens `[batch, context]` to a scalar."""
Watch = Callable[[int, float], None]
"""Function that is told after every step of its tokens and its loss."""


@dataclass(frozen=True)
class Training:
    """Everything that decides a training run, apart from the model, its loss and the text."""

    steps: int
    batch: int
    """Sequences of one step, over all accumulated parts and devices."""
    learning_rate: float
    schedule: str = "constant"
    """One of `models.training.schedules.SCHEDULES`."""
    warmup: int = 0
    """Steps."""
    accumulation: int = 1
    """Parts in which a batch goes through the model."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.1
    """Decay of matrices; biases and norms have none."""
    seed: int = 0
    precision: str = "no"
    """no (float32) or bf16."""

    def __post_init__(self) -> None:
        learning_rate_factor(self.schedule, warmup=self.warmup, steps=self.steps)  # refuses what does not fit
        if min(self.steps, self.batch, self.accumulation) < 1 or self.batch % self.accumulation:
            raise ValueError(
                f"{self.steps} steps of {self.batch} sequences in {self.accumulation} parts: all must be at least 1, "
                "and the parts must divide the batch"
            )
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise ValueError(f"the learning rate is {self.learning_rate}; it must be above 0")


@dataclass
class History:
    """Record that a run leaves besides the model."""

    losses: list[float] = field(default_factory=list)
    """One a step, nats a token."""
    tokens: int = 0
    seconds: float = 0.0
    failed: int | None = None
    """The step at which the run diverged, where that did not stop everything."""


class Diverged(RuntimeError):
    """The loss or the gradient was no number any more. The model holds the last good weights."""

    def __init__(self, step: int, learning_rate: float, loss: float, kept: Path | None) -> None:
        where = f"the last good checkpoint is {kept}" if kept else "no checkpoint was kept"
        super().__init__(
            f"loss {loss} at step {step} with learning rate {learning_rate:.3g}: the run diverged; {where}. "
            "Lower the learning rate or lengthen the warm-up"
        )
        self.step, self.learning_rate = step, learning_rate
