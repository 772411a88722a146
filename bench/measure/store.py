"""Arrays of variants: measured once, written to the run's record, and taken from a record where they still stand."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.verdict.evidence import Arrays, Origin, Result, Variant


class NotOnRecord(LookupError):
    """A variant that a session without a model was asked for is not on record."""


@dataclass(frozen=True)
class Wanted:
    """A variant by all that decides it, before it is measured."""

    name: str
    instrument: str
    settings: dict[str, Any]
    settings_at: str
    roots: list[str]
    code: str
    effort: str
    label: str = ""

    @property
    def key(self) -> str:
        """Its name on record."""
        return f"{self.instrument}, {self.effort}: {self.name}"


Write = Callable[[Variant | Result], None]


@dataclass
class Store:
    """Variants of one session.

    `known` are those of earlier runs that may be used. A store that only reads measures nothing.
    """

    known: Mapping[str, Variant] = field(default_factory=dict)
    write: Write | None = None
    """Appends a variant to the run's record; None for a store that only reads."""
    used: list[str] = field(default_factory=list)
    """Keys that were asked for since it was last cleared: what a row is derived from."""
    _here: dict[str, Variant] = field(default_factory=dict)

    def arrays(self, wanted: Wanted, origin: Callable[[], Origin], measure: Callable[[], Arrays]) -> Arrays:
        """Arrays of a variant: of this session, of an earlier one, or measured now.

        Raises:
            NotOnRecord: it is not known and this store only reads.
        """
        key = wanted.key
        if key not in self._here or not _same(self._here[key], wanted):
            earlier = self.known.get(key)
            if earlier is not None and self._stands(earlier, wanted, origin):
                self._here[key] = earlier
            elif self.write is None:
                raise NotOnRecord(f"{key} is not on record; measure it, without --resume")
            else:
                self._here[key] = self._measured(wanted, origin(), measure, self.write)
        if key not in self.used:
            self.used.append(key)
        return self._here[key].arrays

    def _stands(self, earlier: Variant, wanted: Wanted, origin: Callable[[], Origin]) -> bool:
        """Test that the same code and settings gave it and, where this session has a model, the same model and text."""
        if not _same(earlier, wanted):
            return False
        if self.write is None:  # the record's own model and text are meant
            return True
        now = origin()
        return (earlier.origin.model_sha256, earlier.origin.text_sha256) == (now.model_sha256, now.text_sha256)

    @staticmethod
    def _measured(wanted: Wanted, origin: Origin, measure: Callable[[], Arrays], write: Write) -> Variant:
        started = time.perf_counter()
        arrays = dict(measure())
        variant = Variant(
            name=wanted.name,
            instrument=wanted.instrument,
            settings=wanted.settings,
            settings_at=wanted.settings_at,
            roots=wanted.roots,
            code=wanted.code,
            origin=origin,
            arrays=arrays,
            label=wanted.label,
            seconds=round(time.perf_counter() - started, 3),
        )
        write(variant)
        return variant

    def origin_of(self, instrument: str) -> Origin | None:
        """Origin of the variant of an instrument that was asked for last."""
        found = [self._here[key] for key in self.used if self._here[key].instrument == instrument]
        return found[-1].origin if found else None

    def seconds(self) -> float:
        """Time that measuring the variants in use took."""
        return sum(self._here[key].seconds for key in self.used)


def _same(variant: Variant, wanted: Wanted) -> bool:
    """Test that the code and the settings of a variant are those that are asked for."""
    return (variant.code, variant.settings) == (wanted.code, wanted.settings)
