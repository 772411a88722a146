"""Pieces that the fixtures of all papers share, and the type of `conclude`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import pytest

from bench.measure.instrument import Instrument
from bench.verdict.conclude import MORE_DOCUMENTS
from bench.verdict.documents import Interval
from bench.verdict.entries import Origin
from bench.verdict.needed import Needed
from bench.verdict.rows import Row

MADE = pytest.StashKey[dict]()
"""What was made once for all tests: sessions and instruments."""


def once(request: pytest.FixtureRequest, key: object, make: Callable[[], Any]) -> Any:
    """Thing that `make` gives, made once for all tests."""
    known = request.config.stash.setdefault(MADE, {})
    if key not in known:
        known[key] = make()
    return known[key]


class Conclude(Protocol):
    """Judges a row's interval, leaves the evidence, and ends the test as the verdict says."""

    def __call__(
        self,
        row: Row,
        interval: Interval,
        by: Instrument | Origin | str,
        *,
        doubt: str = "",
        decide: str | Needed = MORE_DOCUMENTS,
        details: dict | None = None,
        method: str = "",
    ) -> None:
        """Conclude a row.

        Args:
            row: as declared.
            interval: what was measured.
            by: the instrument, an origin of its own, or what arithmetic was done about.
            doubt: why the instrument may not judge.
            decide: what would decide it where the interval straddles the boundary.
            details: what plots and tables show.
            method: the compressed variant that the row is about.
        """
        ...
