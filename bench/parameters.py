"""Declared rows as parameters of tests."""

from __future__ import annotations

from typing import Any

import pytest

from bench.verdict.rows import Row


def parameters(*rows: Row) -> list[Any]:
    """Parameters whose ids are the rows' names and whose tests carry their claims."""
    return [pytest.param(row, id=row.name, marks=pytest.mark.claim(row.of)) for row in rows]
