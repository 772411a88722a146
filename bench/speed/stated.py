"""Stated ratios of times."""

from __future__ import annotations

from collections.abc import Callable

Stated = Callable[[bool, str], None]
"""Check of a ratio, and what is wrong where it does not hold."""
