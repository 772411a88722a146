"""Scored documents by chunks: a look adds a chunk to those before it, and nothing is measured twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from models.data.text import Corpus

NAMED = re.compile(r", documents (\d+) to (\d+)$")


class SomeDocuments:
    """Session that scores some of its documents; all else is the whole session's, what calibrates too."""

    def __init__(self, session: Any, scored: range) -> None:
        """Take a part of a session.

        Args:
            session: a `Session`, which is loaded from when first asked.
            scored: places of the documents among those that the session scores.
        """
        self._session, self.scored = session, scored

    @cached_property
    def corpus(self) -> Corpus:
        """Documents that calibrate, and those of the scored ones that are in this part."""
        whole, part = self._session.corpus, slice(self.scored.start, self.scored.stop)
        return replace(whole, scored=whole.scored[part], titles=whole.titles[part])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def __str__(self) -> str:
        return f"documents {self.scored.start + 1} to {self.scored.stop}"


def sizes_within(looks: Sequence[int], documents: int) -> tuple[int, ...]:
    """Documents at each look where there are so many; the last look has all, and adds at least two."""
    return (*(size for size in looks if size <= documents - 2), documents)


def chunks_between(sizes: Sequence[int]) -> list[range]:
    """Places of the documents that each look adds."""
    return [range(start, stop) for start, stop in zip((0, *sizes), sizes, strict=False)]


def share_of(variant: str, documents: int | None) -> float:
    """Share of all documents that a variant was measured on, by its name; 1 for one that no chunk names."""
    named = NAMED.search(variant)
    if named is None or not documents:
        return 1.0
    first, last = map(int, named.groups())
    return (last - first + 1) / documents
