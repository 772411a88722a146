"""A bar over all the variants that a session will measure, with the time left, past pytest's capture."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tqdm import tqdm


class SessionProgress:
    """One bar for the session; its unit is tokens read by the model."""

    def __init__(self, config: pytest.Config, variants: int) -> None:
        self._capture: Any = config.pluginmanager.getplugin("capturemanager")
        self._variants = variants
        self._bar: tqdm | None = None

    @contextmanager
    def variant(self, name: str, tokens: int) -> Iterator[Callable[[int], None]]:
        """Show that `name` is at work, and give what is to be told of every batch's tokens."""
        with self._capture.global_and_fixture_disabled():
            if self._bar is None:
                seconds = 0.5 if sys.stderr.isatty() else 30
                self._bar = tqdm(total=self._variants * tokens, unit=" tokens", mininterval=seconds, leave=False)
            # Training reads far more than a variant does; it is announced only when it begins.
            self._bar.total = max(self._bar.total, self._bar.n + tokens)
            self._bar.set_description(name, refresh=sys.stderr.isatty())
        yield self._advance
        with self._capture.global_and_fixture_disabled():
            if sys.stderr.isatty():
                self._bar.clear()

    def _advance(self, tokens: int) -> None:
        if self._bar is not None:
            with self._capture.global_and_fixture_disabled():
                self._bar.update(tokens)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
