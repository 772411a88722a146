"""Lines of the record: entries as JSON and back, arrays to full precision."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from bench.verdict.documents import Array
from bench.verdict.entries import Origin, Result, Variant
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


def check_format(entry: dict[str, Any], path: Path) -> None:
    """Refuse the header of a run that a later version of the suite wrote."""
    if entry.get("format", 1) > FORMAT:
        raise DamagedRecord(
            f"{path} is of format {entry['format']} and this version reads up to {FORMAT}; update the suite"
        )


def result_of(entry: dict[str, Any]) -> Result:
    """Row that a line of the record holds; fields that this version does not know are left out."""
    known = {f.name for f in fields(Result)}
    Verdict(entry["verdict"])
    return Result(**{"part": "", **{key: value for key, value in entry.items() if key in known}})


def variant_of(entry: dict[str, Any]) -> Variant:
    """Variant that a line of the record holds, with its arrays."""
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
