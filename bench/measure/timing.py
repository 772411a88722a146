"""Time of one thing over another, measured in turn so that the machine's moods strike both."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch

from bench.measure.instrument import Instrument
from bench.verdict.documents import Array, Interval, difference_ratio
from bench.verdict.evidence import Arrays, Origin
from models.device import card

Action = Callable[[], object]


def seconds(action: Action, rounds: int = 1) -> float:
    """Fastest time of some runs."""
    return min(_once(action) for _ in range(rounds))


def _once(action: Action) -> float:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    started = time.perf_counter()
    action()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def paired_times(first: Action, second: Action, rounds: int) -> Array:
    """Seconds of both, `[rounds, 2]`, from rounds that run both in turn after one that warms up."""
    for action in (first, second):
        action()
    return np.array([(_once(first), _once(second)) for _ in range(rounds)])


def time_ratio(times: Array) -> Interval:
    """Geometric mean of the time of the first over that of the second, over rounds `[rounds, 2]`."""
    return difference_ratio(np.log(times[:, 0]), np.log(times[:, 1]))


class Timing(Instrument):
    """Times two actions in turn. Its record holds for the machine that it was made on."""

    name: ClassVar[str] = "timing"
    rests_on: ClassVar[tuple[object, ...]] = ()

    def __init__(self, session: Any, subject: str, rounds: int) -> None:
        super().__init__(session, {"rounds": rounds})
        self.subject, self.rounds = subject, rounds

    def origin(self) -> Origin:
        """The machine, and what was timed."""
        settings = self.session.settings
        machine = card(settings.device) or _processor()
        protocol = f"{self.rounds} paired rounds on {machine}"
        return Origin(settings.scale, settings.effort, self.subject, protocol=protocol, machine=machine)

    def ratio(self, make: Callable[[], tuple[Action, Action]]) -> Interval:
        """Time of the first action over that of the second.

        Args:
            make: prepares both; it is not called where their times are on record. A function or a partial of one.
        """
        return time_ratio(self.measured(self.subject, partial(self._times, make), _plain(make))["times"])

    def _times(self, make: Callable[[], tuple[Action, Action]]) -> Arrays:
        with torch.inference_mode():
            return {"times": paired_times(*make(), self.rounds)}

    def doubt(self, *_variants: object) -> str:
        """Reason why so few rounds decide nothing."""
        if self.session.settings.effort == "quick":
            return f"{self.rounds} rounds decide nothing on a machine that may have other work; use --effort=normal"
        return ""


def _plain(make: Callable[[], object]) -> object:
    return make.func if isinstance(make, partial) else make


def _processor() -> str:
    return f"{platform.machine()} with {torch.get_num_threads()} threads"
