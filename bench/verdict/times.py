"""Times in words."""

from __future__ import annotations

DAYS = 4
"""Days from which on hours do not matter."""


def in_words(seconds: float) -> str:
    """A time to the precision that one plans by: 40 s, 9 min, 2 h 10 min, 12 days."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes > DAYS * 24 * 60:
        return f"{minutes / (24 * 60):,.0f} days"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
