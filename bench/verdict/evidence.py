"""The record: what was measured, one line an entry, and the only source of verdicts and pages.

`evidence.jsonl` holds three kinds of line: `run` (versions, machine and options of one start of the suite), `variant`
(the arrays that one measurement left, to full precision) and `row` (one verdict, naming the variants it was derived
from). A line that comes later replaces an earlier one of the same name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from bench.verdict.documents import Array
from bench.verdict.regions import Verdict

FILE = "evidence.jsonl"
FORMAT = 2
"""Version of the lines' format; 1 was that of 0.3.0, which kept no variants."""
EFFORTS = ("quick", "normal", "thorough")
Arrays = Mapping[str, Array]


class DamagedRecord(ValueError):
    """A record that cannot be used as it is; the message names the file, the line and the way out."""


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
    method: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    """Numbers that plots and tables show."""
    variants: list[str] | None = None
    """Keys of the variants that it was derived from; None for a row of 0.3.0, which kept none."""
    run: str = ""


@dataclass(frozen=True)
class Evidence:
    """One folder's latest row of every name, latest variant of every key, the runs, and lines that are damaged."""

    rows: dict[str, Result] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    variants: dict[str, Variant] = field(default_factory=dict)
    damaged: dict[int, str] = field(default_factory=dict)
    """Text of the lines that are no entry, by number; kept as they are."""

    def over(self, other: Evidence) -> Evidence:
        """Union of two records: of a row that both have, the one of higher effort, and of equal ones this one's."""
        rows = dict(other.rows)
        for name, row in self.rows.items():
            if name not in rows or outranks(row, rows[name]):
                rows[name] = row
        return Evidence(rows, other.runs | self.runs, other.variants | self.variants, self.damaged)


def outranks(new: Result, old: Result) -> bool:
    """True if a row may take another's place: it was run, and with no less effort."""
    if old.verdict == Verdict.NOT_RUN.value:
        return True
    if new.verdict == Verdict.NOT_RUN.value:
        return False
    return EFFORTS.index(new.effort or "normal") >= EFFORTS.index(old.effort or "normal")


def read(folder: Path) -> Evidence:
    """Evidence of a folder; empty where there is none. Lines that are damaged are kept apart and harm nothing.

    Raises:
        DamagedRecord: the file is not text, or was written by a later version of the suite.
    """
    path, evidence = folder / FILE, Evidence()
    if not path.exists():
        return evidence
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedRecord(f"{path} cannot be read ({error}); move it away, or restore it from git") from error
    for number, line in enumerate(content.split("\n"), 1):  # splitlines would cut JSON at U+2028
        if line.strip():
            _take(evidence, number, line, path)
    return evidence


def _take(evidence: Evidence, number: int, line: str, path: Path) -> None:
    try:
        entry = json.loads(line)
        kind = entry.pop("kind")
        if kind == "run":
            _check_format(entry, path)
            evidence.runs[entry["run"]] = entry
        elif kind == "variant":
            variant = _variant(entry)
            evidence.variants[variant.key] = variant
        elif kind == "row":
            evidence.rows[entry["row"]] = _result(entry)
        else:
            raise KeyError(kind)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, DamagedRecord):
            raise
        evidence.damaged[number] = line


def _check_format(entry: dict[str, Any], path: Path) -> None:
    if entry.get("format", 1) > FORMAT:
        raise DamagedRecord(
            f"{path} is of format {entry['format']} and this version reads up to {FORMAT}; update the suite"
        )


def _result(entry: dict[str, Any]) -> Result:
    known = {f.name for f in fields(Result)}
    Verdict(entry["verdict"])
    return Result(**{"part": "", **{key: value for key, value in entry.items() if key in known}})


def _variant(entry: dict[str, Any]) -> Variant:
    known = {f.name for f in fields(Variant)}
    arrays = {name: decoded(packed) for name, packed in entry["arrays"].items()}
    plain = {key: value for key, value in entry.items() if key in known}
    return Variant(**{**plain, "origin": Origin(**entry["origin"]), "arrays": arrays})


def encoded(values: Array) -> dict[str, Any]:
    """An array as JSON can hold it, to full precision: dtype, and nested lists in which None stands for NaN."""
    values = np.asarray(values)
    lists = values.astype(str).astype(object) if values.dtype == np.float32 else values.astype(object)
    return {"dtype": str(values.dtype), "shape": list(values.shape), "values": [_number(x) for x in lists.ravel()]}


def _number(value: Any) -> Any:
    if isinstance(value, str):  # the shortest digits that give the same float32
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def decoded(packed: dict[str, Any]) -> Array:
    """The array that `encoded` packed."""
    values = [math.nan if x is None else x for x in packed["values"]]
    return np.array(values, dtype=packed["dtype"]).reshape(packed["shape"])


def clean(value: Any) -> Any:
    """A value with None for every float that JSON cannot hold."""
    if isinstance(value, dict):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def line_of(entry: Result | Variant | dict[str, Any]) -> str:
    """One line of the record: a row, a variant, or the header of a run."""
    if isinstance(entry, Variant):
        plain = {f.name: getattr(entry, f.name) for f in fields(entry)} | {"origin": asdict(entry.origin)}
        packed = {name: encoded(values) for name, values in entry.arrays.items()}
        written = {"kind": "variant", **clean({k: v for k, v in plain.items() if k != "arrays"}), "arrays": packed}
    elif isinstance(entry, Result):
        written = {"kind": "row", **clean(asdict(entry))}
    else:
        written = {"kind": "run", **clean(entry)}
    return json.dumps(written, ensure_ascii=False) + "\n"


def _lock(folder: Path) -> FileLock:
    return FileLock(folder / ".evidence.lock", timeout=60)


def append(folder: Path, entry: Result | Variant | dict[str, Any]) -> None:
    """Add one line to a folder's record, so that an interrupted run keeps what it has.

    A last line that an earlier run left unfinished is closed first. Runs that share a folder take turns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    with _lock(folder), path.open("ab+") as file:
        file.seek(0, 2)
        if file.tell() and (file.seek(-1, 2), file.read(1))[1] != b"\n":
            file.write(b"\n")
        file.write(line_of(entry).encode())


def compact(folder: Path) -> None:
    """Rewrite a folder's record with the latest entry of every name, the runs they come from, and what is damaged."""
    with _lock(folder):
        evidence = read(folder)
        used = {entry.run for entry in (*evidence.rows.values(), *evidence.variants.values())}
        entries: Iterable[Result | Variant | dict[str, Any]] = [
            *(run for name, run in evidence.runs.items() if name in used),
            *evidence.variants.values(),
            *evidence.rows.values(),
        ]
        beside = folder / f"{FILE}.part"
        with beside.open("w", encoding="utf-8") as file:
            file.writelines(map(line_of, entries))
            file.writelines(f"{line}\n" for line in evidence.damaged.values())
        beside.replace(folder / FILE)
