"""CPU threads of a run, and what more of them are worth."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MARKED = 2
"""Threads on which the seconds were taken that markers state."""
WORTH = 0.72
"""Power of their number with which threads are faster: two do 1.65 times what one does, reading with SmolLM2-135M as
training GPT-2s."""
MOST = 8
"""Threads beyond which no more is gained."""


def here() -> int:
    """Threads that this process computes with."""
    import torch  # noqa: PLC0415 - only the embedded scale computes on them

    return torch.get_num_threads()


def threads_of(run: Mapping[str, Any]) -> int:
    """Threads of a run by its header; as many as markers are of where it does not say."""
    found = re.search(r"\b(\d+) threads?\b", str(run.get("machine", "")))
    return int(found.group(1)) if found else MARKED


def times_slower(had: int, have: int) -> float:
    """Seconds that a computation takes on threads that it now has, over those on the threads that it had."""
    return (min(max(had, 1), MOST) / min(max(have, 1), MOST)) ** WORTH
