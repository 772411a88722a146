"""Lines of the record: entries as JSON and back, arrays to full precision."""

from __future__ import annotations

import functools
import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from bench.verdict.documents import Array
from bench.verdict.entries import EFFORTS, Origin, Result, Variant
from bench.verdict.regions import Verdict

FORMAT = 2
"""Version of the lines' format; 1 was that of 0.3.0, which kept no variants."""


class DamagedRecord(ValueError):
    """A record that cannot be used as it is; the message names the file, the line and the way out."""


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


def entry_of(line: str) -> dict[str, Any]:
    """Entry that a line holds.

    Raises:
        ValueError: it is no JSON, or holds what is no text, such as bytes of another encoding.
        AttributeError: it is no object.
    """
    line.encode()
    entry = json.loads(line, parse_constant=_refused)
    if "\\ud" in line.lower():  # half a surrogate pair, which JSON can spell and no page can show
        json.dumps(entry, ensure_ascii=False).encode()
    return entry


def _refused(number: str) -> float:
    raise ValueError(f"{number} is no JSON")


def run_of(entry: dict[str, Any]) -> dict[str, Any]:
    """Header of a run that a line of the record holds.

    Raises:
        TypeError: it has no name, or its values are not those of a header.
    """
    plain = [value for name, value in entry.items() if name not in ("run", "started", "options")]
    named = isinstance(entry["run"], str) and isinstance(entry.get("started", ""), str)
    if not named or not isinstance(entry.get("options", {}), dict) or any(isinstance(v, dict | list) for v in plain):
        raise TypeError(f"{entry['run']!r} is no header of a run")
    return entry


def check_format(entry: dict[str, Any], path: Path) -> None:
    """Refuse the header of a run that a later version of the suite wrote."""
    if entry.get("format", 1) > FORMAT:
        raise DamagedRecord(
            f"{path} is of format {entry['format']} and this version reads up to {FORMAT}; update the suite"
        )


def result_of(entry: dict[str, Any]) -> Result:
    """Row that a line of the record holds; fields that this version does not know are left out.

    Raises:
        ValueError: a verdict or an effort that there is none of.
        TypeError: a field is missing or of another type.
    """
    Verdict(entry["verdict"])
    if entry.get("effort") not in (None, "", *EFFORTS):
        raise ValueError(f"{entry['effort']!r} is no effort")
    return Result(**{"part": "", **_typed(Result, entry)})


def variant_of(entry: dict[str, Any]) -> Variant:
    """Variant that a line of the record holds, with its arrays.

    Raises:
        ValueError: an array does not fit its shape or type.
        TypeError: a field is missing or of another type.
    """
    arrays = {name: decoded(packed) for name, packed in entry["arrays"].items()}
    origin = Origin(**_typed(Origin, entry["origin"]))
    return Variant(**_typed(Variant, {**entry, "origin": origin, "arrays": arrays}))


def _typed(of: type, entry: dict[str, Any]) -> dict[str, Any]:
    """Fields of a class that an entry has; each must be of the type that the class says."""
    kinds = _kinds(of)
    known = {name: value for name, value in entry.items() if name in kinds}
    for name, value in known.items():
        unnamed = isinstance(value, list) and not all(isinstance(item, str) for item in value)
        endless = isinstance(value, float) and not math.isfinite(value)
        if unnamed or endless or not isinstance(value, kinds[name]):
            raise TypeError(f"{name} is {value!r}")
    return known


@functools.cache
def _kinds(of: type) -> dict[str, tuple[type, ...]]:
    """Types that the value of each field may have; JSON writes a whole number where a float is meant."""
    kinds = {}
    for name, hint in get_type_hints(of).items():
        options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        plain = tuple(get_origin(option) or option for option in options)
        kinds[name] = (*plain, int) if float in plain else plain
    return kinds


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
    dtype = np.dtype(packed["dtype"])
    if dtype.hasobject:
        raise ValueError(f"an array of {dtype} holds no numbers")
    values = [math.nan if x is None else x for x in packed["values"]]
    return np.array(values, dtype=dtype).reshape(packed["shape"])


def clean(value: Any) -> Any:
    """A value with None for every float that JSON cannot hold."""
    if isinstance(value, dict):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
