"""Rows and variants on record that the present code would not give: measured by other code, or with other settings."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from bench.measure.fingerprint import code_sha256
from bench.verdict.entries import EARLIER, no_less
from bench.verdict.evidence import Evidence, Result, Variant


def stale_rows(evidence: Evidence) -> dict[str, str]:
    """Reason why each row is of an earlier version, by name; rows that stand or were not run are left out."""
    ran = [row for row in evidence.rows.values() if row.was_run]
    return {row.row: reason for row in ran if (reason := why_stale(row, evidence))}


def derivable(name: str, record: Evidence, effort: str) -> Result | None:
    """Row on record that need not be measured again for a run of an effort: of no lower one, and its variants stand."""
    row = record.rows.get(name)
    if row is None or not row.variants or why_stale(row, record):
        return None
    return row if no_less(row.effort, effort) else None


def why_stale(row: Result, evidence: Evidence) -> str:
    """Reason why a row cannot be derived again from its variants; empty where it can."""
    if row.variants is None:
        return EARLIER
    for key in row.variants:
        variant = evidence.variants.get(key)
        if variant is None:
            return f"its variant {key!r} is not on record"
        if reason := why_variant_stale(variant):
            return f"{key}: {reason}"
    return ""


def why_variant_stale(variant: Variant) -> str:
    """Reason why the present code would not give a variant; empty where it would."""
    try:
        if _code(tuple(variant.roots)) != variant.code:
            return "the code that measures it has changed"
    except LookupError as error:
        return f"the code that measured it is gone ({error})"
    if variant.settings_at and variant.settings != present_settings(variant):
        return "it was measured with other settings than the code's present ones"
    return ""


@functools.cache
def _code(roots: tuple[str, ...]) -> str:
    return code_sha256(roots)


def present_settings(variant: Variant) -> dict[str, Any] | None:
    """Settings that the code now has for a variant's instrument, scale and effort; None where it has none."""
    return _settings(variant.settings_at, variant.origin.scale, variant.origin.effort)


@functools.cache
def _settings(place: str, scale: str, effort: str) -> dict[str, Any] | None:
    from bench.measure.instrument import plain  # noqa: PLC0415 - which imports what measures

    module, _, name = place.partition(":")
    try:
        chosen = getattr(importlib.import_module(module), name)(scale, effort)
    except (ImportError, AttributeError, KeyError):
        return None
    return None if chosen is None else plain(chosen)
