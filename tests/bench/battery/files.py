"""Bad files that several tables lay, and sound entries of a record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from bench.verdict.evidence import Result

ROW = Result("LC1-x", "LC1", "a", "reproduced", value=1.0, low=0.9, high=1.1, effort="normal", variants=[], run="r")
RUN = {"run": "r", "format": 2, "started": "2026-01-02T03:04:05", "options": {}}


def put(content: bytes | str, name: str = "text.txt") -> Callable[[Path], object]:
    """Way to lay a file of that content."""
    return lambda here: (here / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def lines(*entries: object) -> bytes:
    return "\n".join(json.dumps(entry) for entry in entries).encode()
