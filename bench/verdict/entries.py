"""Entries of the record: variants, which are measured, and results, which are derived from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.verdict.documents import Array
from bench.verdict.regions import Verdict

EFFORTS = ("quick", "normal", "thorough")
Arrays = Mapping[str, Array]
EARLIER = (
    "measured by an earlier version of the suite, which kept no variants and qualified no instrument: it does not vote "
    "until it is measured anew (`pytest bench --effort=thorough -k ROW --record`; `--collect-only` says in what time)"
)
"""Note on a row of 0.3.0."""


@dataclass(frozen=True)
class Origin:
    """Model, text and amounts that a result was measured on."""

    scale: str = ""
    effort: str = ""
    model: str = ""
    model_sha256: str = ""
    """Hash of the model's pinned source; empty where no model was measured."""
    text: str = ""
    text_sha256: str = ""
    protocol: str = ""
    documents: int = 0
    tokens: int = 0
    """Tokens that the model read for this result."""
    seed: int = 0
    machine: str = ""
    """What times were measured on; empty where none were."""


@dataclass(frozen=True)
class Variant:
    """One measurement: its arrays, and all that decided them."""

    name: str
    instrument: str
    settings: dict[str, Any]
    settings_at: str
    """Table in which the code keeps such settings, as `module:TABLE`; empty where they have no table."""
    roots: list[str]
    """Entry points of the code that decided the arrays, as `module:qualified name`."""
    code: str
    """Hash of all code that the roots reach."""
    origin: Origin
    arrays: dict[str, Array]
    label: str = ""
    """Short name, for pages."""
    seconds: float = 0.0
    run: str = ""

    @property
    def key(self) -> str:
        """Name on record."""
        return f"{self.instrument}, {self.origin.effort}: {self.name}"


@dataclass(frozen=True)
class Result:
    """One row of the record."""

    row: str
    claim: str
    part: str
    verdict: str
    control: bool = False
    doubt: str = ""
    """Reason why the instrument may not judge; such a row does not vote where another of its part does."""
    reason: str = ""
    """Reason why it is undecided or was not run, and what would decide it."""
    statistic: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    accept_low: float | None = None
    accept_high: float | None = None
    """Ends of the acceptance region; None where it is open."""
    because: str = ""
    """Reason why the region lies where it does."""
    scale: str = ""
    effort: str = ""
    model: str = ""
    model_sha256: str = ""
    text: str = ""
    text_sha256: str = ""
    protocol: str = ""
    documents: int = 0
    tokens: int = 0
    seed: int = 0
    machine: str = ""
    method: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    """Numbers that plots and tables show."""
    variants: list[str] | None = None
    """Keys of the variants that it was derived from; None for a row of 0.3.0, which kept none."""
    run: str = ""

    @property
    def was_run(self) -> bool:
        """True if it was measured."""
        return self.verdict != Verdict.NOT_RUN.value

    @property
    def is_earlier(self) -> bool:
        """True for a row of 0.3.0, which kept no variants."""
        return self.variants is None

    @property
    def counts(self) -> bool:
        """True if its part's verdict may rest on it: it is no control, and not of 0.3.0."""
        return not self.control and not self.is_earlier

    @property
    def votes(self) -> bool:
        """True if it decides on its part: it was run, it counts, and its instrument qualified."""
        return self.was_run and self.counts and not self.doubt


def outranks(new: Result, old: Result) -> bool:
    """True if a row may take another's place: it was run, and with no less effort."""
    if not old.was_run:
        return True
    if not new.was_run:
        return False
    return no_less(new.effort, old.effort)


def no_less(effort: str, than: str) -> bool:
    """True if an effort measures no less than another; a row without one counts as of normal."""
    return EFFORTS.index(effort or "normal") >= EFFORTS.index(than or "normal")


def within(record: Result, result: Result) -> bool:
    """True if a new estimate lies in the recorded interval, whose open ends are None."""
    if result.value is None or record.value is None:
        return False
    return (record.low is None or record.low <= result.value) and (record.high is None or result.value <= record.high)
