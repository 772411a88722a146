"""Interface of the instruments of all papers: settings, origin, doubt and measurements."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, is_dataclass
from functools import cache, partial
from typing import Any, ClassVar

from bench.measure.fingerprint import code_sha256, root_of
from bench.measure.store import Wanted
from bench.verdict.evidence import Arrays, Origin
from models.data.text import calibration_batches, split
from models.load import use_linear_layers

READING: tuple[object, ...] = (split, calibration_batches, use_linear_layers)
"""Code that decides what is read of a text and of a model, whoever measures; their contents have their own hashes."""


class Instrument(ABC):
    """Measures variants of a session's model, or of models that it trains itself."""

    name: ClassVar[str]
    settings_at: ClassVar[str] = ""
    """Function that gives its settings for a scale and an effort, as `module:function`."""
    rests_on: ClassVar[tuple[object, ...]] = READING
    """Code that decides all of its variants and that their own does not name."""

    def __init__(self, session: Any, settings: Any) -> None:
        """Prepare; nothing is loaded yet.

        Args:
            session: a `Session`. A fingerprint follows classes that annotations name, and what loads and keeps things
                must not count among what decides a measurement.
            settings: that decide what is measured.
        """
        self.session, self.settings = session, settings

    @abstractmethod
    def origin(self) -> Origin:
        """Model, text, protocol and documents that its variants are measured on."""

    def doubt(self, *variants: Any) -> str:
        """Reason why it may not judge these variants; empty where it may."""
        return ""

    def measured(self, variant: str, measure: Callable[[], Arrays], *code: object, label: str = "") -> Arrays:
        """Arrays of a variant, measured once.

        Args:
            variant: its name in full, by which it is found on record.
            measure: gives its arrays; the code that it reaches decides whether a variant on record still stands.
            code: what else decides them and is not named there, such as the class of a method.
            label: its short name, for pages.
        """
        roots = sorted({root_of(thing) for thing in (_function(measure), *code, *self.rests_on)})
        settings = self.session.settings
        wanted = Wanted(
            variant,
            self.name,
            plain(self.settings),
            self.settings_at,
            roots,
            _code(tuple(roots)),
            settings.effort,
            label,
        )
        return self.session.store.arrays(wanted, self.origin, partial(self._watched, measure, label))

    def _watched(self, measure: Callable[[], Arrays], label: str) -> Arrays:
        with self.watching(label):
            return measure()

    def watching(self, _label: str) -> AbstractContextManager[None]:
        """Context that shows how far a variant is, where measuring it does not."""
        return nullcontext()


@cache
def _code(roots: tuple[str, ...]) -> str:
    """Hash of the code that roots reach; the code of a process does not change."""
    return code_sha256(roots)


def _function(measure: Callable[[], Arrays]) -> Callable[..., Arrays]:
    return measure.func if isinstance(measure, partial) else measure


def plain(settings: Any) -> dict[str, Any]:
    """Settings as JSON holds them, for a comparison with those on record."""
    chosen = settings.decisive() if hasattr(settings, "decisive") else settings
    values = asdict(chosen) if is_dataclass(chosen) and not isinstance(chosen, type) else chosen
    return json.loads(json.dumps(values, default=str, sort_keys=True))
