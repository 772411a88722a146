"""Pieces that the fixtures of all papers share, and the type of `conclude`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import pytest

from bench.measure.instrument import Instrument
from bench.verdict.conclude import MORE_DOCUMENTS
from bench.verdict.documents import Interval
from bench.verdict.entries import Origin
from bench.verdict.needed import Needed
from bench.verdict.rows import Row
from models.errors import InputError, TooLittleText

Settings = TypeVar("Settings")
MADE = pytest.StashKey[dict]()
"""What was made once for all tests: sessions and instruments."""


def once(request: pytest.FixtureRequest, key: object, make: Callable[[], Any]) -> Any:
    """Thing that `make` gives, made once for all tests."""
    known = request.config.stash.setdefault(MADE, {})
    if key not in known:
        known[key] = make()
    return known[key]


def in_time(settings: Settings | None) -> Settings:
    """Settings of an instrument; skips where there are none, as it could show nothing at this effort."""
    if settings is None:
        pytest.skip("its instrument cannot qualify in the time of this effort; use --effort=thorough")
    return settings


def skip_unless_usable(made: Instrument, look: Callable[[], object], *unless: type[InputError]) -> None:
    """Skip where an instrument that measures cannot have what it stands on; one that shows the record needs nothing.

    Args:
        made: the instrument.
        look: asks for what it stands on.
        unless: errors by which that cannot be had, beside too little text.
    """
    if made.session.store.write is None:
        return
    try:
        look()
    except (TooLittleText, *unless) as error:
        pytest.skip(f"its instrument, {made.name}, cannot be measured here: {error}")


def enough(shortage: str) -> None:
    """Nothing where no shortage is named.

    Raises:
        TooLittleText: what is short.
    """
    if shortage:
        raise TooLittleText(shortage)


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
