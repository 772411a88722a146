"""Time budget of a session: which items fit, which are left out, and the command that runs those."""

from __future__ import annotations

import re
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import pytest

from bench.costs import Cost, Made

TIME = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?")
UNIT_SECONDS = {"h": 3600, "m": 60, "s": 1}
REASON = "left out by --time-budget"
OF_NO_CLAIM = "of no claim"
WITHOUT_VALUE = ("--collect-only", "--co", "--resume")
WITH_VALUE = ("--time-budget", "--claims")
"""Options that the command for what was left out has in its own way."""


def seconds_of(asked: str) -> float:
    """Seconds of a time such as 90m, 2h, 1h30m or 5400s.

    Raises:
        pytest.UsageError: it is no such time, or none at all; a number alone has no unit.
    """
    parts = TIME.fullmatch(asked.strip().lower())
    units = parts.groupdict() if parts else {}
    seconds = sum(float(number) * UNIT_SECONDS[unit] for unit, number in units.items() if number)
    if not seconds:
        raise pytest.UsageError(
            f"--time-budget is {asked!r}; give hours, minutes or seconds with their letter, such as 90m, 2h or 1h30m"
        )
    return seconds


class Budget:
    """Time that a session may take, counted from when this is made; what is at work when it ends is let finish."""

    def __init__(
        self, seconds: float, costs: Mapping[pytest.Item, Cost], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds, self._costs, self._clock = seconds, costs, clock
        self._began, self._made = clock(), Made()
        self.left: list[pytest.Item] = []
        """Items that were left out: before the session, or because it took longer than estimated."""

    def fitting(self, items: Sequence[pytest.Item]) -> list[pytest.Item]:
        """Items that fit, by their estimates; each in turn is taken where it still fits."""
        made, total, kept = Made(), 0.0, []
        for item in items:
            owed = made.owed(self._costs[item])
            if total + owed <= self.seconds:
                made.add(self._costs[item])
                kept.append(item)
                total += owed
        chosen = set(kept)
        self.left += [item for item in items if item not in chosen]
        return kept

    def starts(self, item: pytest.Item) -> bool:
        """Test that an item still fits in what is really left; what does is counted, what does not is left out."""
        cost = self._costs.get(item, Cost(0.0))
        fits = self._clock() - self._began + self._made.owed(cost) <= self.seconds
        if fits:
            self._made.add(cost)
        else:
            self.left.append(item)
        return fits


def claim_of(item: pytest.Item) -> str:
    """Claim or instrument that an item is of; empty for one that is of none."""
    marker = item.get_closest_marker("claim")
    return marker.args[0].rstrip("abcdefgh") if marker else ""


def left_out(items: Iterable[pytest.Item], arguments: Sequence[str]) -> list[str]:
    """Lines that say what was left out, counted by claim, and how to run it.

    Args:
        items: what was left out.
        arguments: that this session was started with.
    """
    counts = Counter(claim_of(item) for item in items)
    others = counts.pop("", 0)
    parts = [f"{claim} {count}" for claim, count in counts.items()] + ([f"{OF_NO_CLAIM} {others}"] if others else [])
    lines = [f"{counts.total() + others} item(s) {REASON}: {', '.join(parts)}"]
    if counts:
        lines.append(f"to run them: {command(arguments, list(counts))}")
    if others:
        lines.append("those of no claim are times of speed: pytest bench/speed")
    return lines


def command(arguments: Sequence[str], claims: Sequence[str]) -> str:
    """Command that runs these claims as this session would have, with what it measured taken from the record."""
    kept, value = [], False
    for argument in map(str, arguments):
        named = argument.split("=")[0]
        if not value and named not in (*WITHOUT_VALUE, *WITH_VALUE):
            kept.append(argument)
        value = not value and argument in WITH_VALUE
    return shlex.join(["pytest", *kept, "--resume", "--claims", ",".join(claims)])
