"""Progress of the whole session: rows done, time spent, time left, and the variant at work."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from tqdm import tqdm

from bench.verdict.times import in_words

REDRAW_SECONDS = 0.5
LINE_SECONDS = 30
"""Between two lines where there is no terminal to draw a bar on."""
FAITH_SECONDS = 60
"""Time for which the estimates are believed before the pace of this machine is."""


class _Bar(tqdm):
    monitor_interval = 0  # it is drawn when told to; no thread has to watch it


@dataclass
class _Variant:
    name: str
    tokens: int
    read: int = 0

    @property
    def share(self) -> float:
        return min(self.read / max(self.tokens, 1), 1.0)


class SessionProgress:
    """A bar on standard error where that is a terminal, and a line now and then where it is not.

    Items are weighed by the seconds that they are estimated to take. Time left is the estimate of what is not done,
    times the pace so far: seconds spent over seconds estimated, both with `FAITH_SECONDS` added.
    """

    def __init__(self, config: pytest.Config, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._config, self._clock = config, clock
        self._seconds: dict[str, float] = {}
        self._done: set[str] = set()
        self._current = ""
        self._began = self._last_done = clock()
        self._shown = self._began
        self._variant: _Variant | None = None
        self._bar: _Bar | None = None
        self._drawn = False

    def plan(self, seconds_by_item: Mapping[str, float]) -> None:
        """Take the estimated seconds of every item of the session, whose time starts here if none has started."""
        self._seconds = dict(seconds_by_item)
        if not self._current:
            self._began = self._last_done = self._shown = self._clock()

    def item_started(self, nodeid: str) -> None:
        """Note which item is at work."""
        self._current = nodeid

    def item_done(self, nodeid: str) -> None:
        """Count an item, and show how far the session is."""
        self._done.add(nodeid)
        self._last_done = self._clock()
        if nodeid in self._seconds:
            self._show()

    @contextmanager
    def variant(self, name: str, tokens: int) -> Iterator[Callable[[int], None]]:
        """Show that `name` is at work, and give what is to be told of every batch's tokens."""
        outer, self._variant = self._variant, _Variant(name, tokens)
        self._show(now=self._on_terminal)
        try:
            yield self._advance
        finally:
            self._variant = outer
            self.clear()

    def _advance(self, tokens: int) -> None:
        if self._variant is not None:
            self._variant.read += tokens
            self._show()

    @property
    def _planned_and_done(self) -> set[str]:
        return self._done & self._seconds.keys()

    @property
    def pace(self) -> float:
        """Seconds that an estimated second takes."""
        estimated = sum(self._seconds[item] for item in self._planned_and_done)
        return (FAITH_SECONDS + self._last_done - self._began) / (FAITH_SECONDS + estimated)

    @property
    def seconds_done(self) -> float:
        """Estimated seconds that are behind, with the share of the item at work."""
        current = 0.0 if self._current in self._done else self._seconds.get(self._current, 0.0)
        working = min(current, (self._clock() - self._last_done) / self.pace)
        return sum(self._seconds[item] for item in self._planned_and_done) + working

    def __str__(self) -> str:
        at_work = f"{self._variant.name} {self._variant.share:.0%}".replace("%", " %") if self._variant else ""
        if not self._seconds:
            return at_work
        left = self.pace * (sum(self._seconds.values()) - self.seconds_done)
        so_far = f"{len(self._planned_and_done)} of {len(self._seconds)} rows, {in_words(self._clock() - self._began)}"
        return f"{so_far}, about {in_words(left)} left" + (f": {at_work}" if at_work else "")

    @cached_property
    def _on_terminal(self) -> bool:
        with self._past_capture():
            return sys.stderr.isatty()

    def _past_capture(self) -> AbstractContextManager[None]:
        capture: Any = self._config.pluginmanager.getplugin("capturemanager")
        return nullcontext() if capture is None else capture.global_and_fixture_disabled()

    def _may_write(self) -> bool:
        """True if this process has the terminal, and pytest has no unfinished line on it."""
        if hasattr(self._config, "workerinput") or not self._config.pluginmanager.hasplugin("terminalreporter"):
            return False
        return not self._config.get_terminal_writer().width_of_current_line

    def _show(self, *, now: bool = False) -> None:
        rest = REDRAW_SECONDS if self._on_terminal else LINE_SECONDS
        if (not now and self._clock() - self._shown < rest) or not self._may_write():
            return
        self._shown = self._clock()
        with self._past_capture():
            if self._on_terminal:
                self._draw()
            else:
                sys.stderr.write(f"{self}\n")

    def _draw(self) -> None:
        if self._bar is None:
            self._bar = _Bar(
                total=1.0,
                bar_format="{percentage:3.0f}%|{bar:20}| {desc}",
                file=sys.stderr,
                leave=False,
                dynamic_ncols=True,
                delay=float("inf"),  # not before it has something to say
            )
            self._bar.delay = 0
        total = sum(self._seconds.values())
        self._bar.n = self.seconds_done / total if total else self._variant.share if self._variant else 0.0
        self._bar.set_description_str(str(self), refresh=False)
        self._bar.refresh()
        self._drawn = True

    def clear(self) -> None:
        """Take the bar off the terminal until it is drawn again; whoever writes a line calls this first."""
        if self._bar is not None and self._drawn:
            with self._past_capture():
                self._bar.clear()
            self._drawn = False

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            with self._past_capture():
                self._bar.close()
            self._bar = None
