"""Long context in looks: documents are measured in chunks, and read together by every look that has them.

Normal effort has one look and none of this. Calibration is drawn beside the documents of the last look, whatever look a
chunk belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from bench.long_context.curves import Curve
from bench.long_context.lab import LongContext
from bench.long_context.measured import CacheFormat, Measured
from bench.measure.chunks import SomeDocuments, chunks_between, sizes_within
from bench.measure.instrument import READING
from bench.verdict.documents import FEWEST_TO_BOOTSTRAP, LEVEL, Array, Interval
from bench.verdict.evidence import Arrays, Origin
from bench.verdict.looks import Looks, measure_in_looks, resamples_for
from bench.verdict.regions import Region
from compress.method import Method


class Chunk(LongContext):
    """Long context on some of the documents, which its variants' names say."""

    rests_on: ClassVar[tuple[object, ...]] = (*READING, SomeDocuments)

    def measured(self, variant: str, measure: Callable[[], Arrays], *code: object, label: str = "") -> Arrays:
        """Arrays of a variant on these documents, measured once."""
        return super().measured(f"{variant}, {self.session}", measure, *code, label=label)


class FirstDocuments(Chunk):
    """Long context on the documents of the first looks together, from what their chunks measure."""

    def __init__(self, session: Any, chunks: Sequence[Chunk]) -> None:
        """Join chunks.

        Args:
            session: the whole `Session`.
            chunks: one a look, from the first on.
        """
        super().__init__(SomeDocuments(session, range(chunks[-1].session.scored.stop)))
        self._whole, self._chunks = session, chunks

    @property
    def looks(self) -> tuple[int, ...]:
        """Documents at each look."""
        return tuple(chunk.session.scored.stop for chunk in self._chunks)

    def first(self, documents: int) -> LongContext:
        """The instrument on the documents of the looks up to that of so many."""
        return FirstDocuments(self._whole, [c for c in self._chunks if c.session.scored.stop <= documents])

    def measure(self, method: Method | CacheFormat) -> Measured:
        """Curves of all chunks as one."""
        whole = joined([chunk.measure(method) for chunk in self._chunks])
        tokens = [chunk.tokens_of(method) for chunk in self._chunks]
        known = [own for own in tokens if own is not None]
        if len(known) == len(tokens):
            self._tokens[repr(method)] = np.concatenate(known)
        return whole

    def _curve(self, method: Method | CacheFormat) -> tuple[Curve, dict[str, float]]:
        parts = [chunk._curve(method) for chunk in self._chunks]
        curves = [curve for curve, _ in parts]
        tokens = {name: np.concatenate([curve.tokens[name] for curve in curves]) for name in curves[0].tokens}
        resolved = np.concatenate([curve.resolved for curve in curves])
        return replace(curves[0], tokens=tokens, resolved=resolved), _summed([summary for _, summary in parts])

    def noise_floor(self) -> Array:
        """KL of the dense model against itself on two documents, those of the first look."""
        return self._chunks[0].noise_floor()

    def forgetting(self) -> Array:
        """KL of a model that forgets, over the documents of all chunks."""
        return np.concatenate([chunk.forgetting() for chunk in self._chunks])

    def noise(self, attention: str) -> Arrays:
        """Variance of the noise that attention sums; simulated once, with the model's own attention by chunks."""
        parts = [chunk.noise(attention) for chunk in (self._chunks if attention == "model" else self._chunks[:1])]
        return dict(parts[0]) | {"variances": np.concatenate([part["variances"] for part in parts])}


def joined(parts: Sequence[Measured]) -> Measured:
    """Measurements of one variant on several chunks of documents as one."""
    means = {name: np.concatenate([part.means[name] for part in parts]) for name in parts[0].means}
    resolved = np.concatenate([part.resolved for part in parts])
    return replace(parts[0], means=means, resolved=resolved, summary=_summed([part.summary for part in parts]))


def _summed(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    """Summary of a variant that was made once a chunk: its times add, its peak is the highest, the rest is the same."""
    seconds, peak = sum(part["seconds"] for part in parts), max(part["peak_bytes"] for part in parts)
    return parts[0] | {"seconds": seconds, "peak_bytes": peak}


def long_context_of(session: Any, sizes: Sequence[int]) -> LongContext:
    """Instrument of a session: all documents at once, or so many at each look."""
    if len(sizes) < 2:
        return LongContext(session)
    return FirstDocuments(session, [Chunk(SomeDocuments(session, places)) for places in chunks_between(sizes)])


def sizes_of(session: Any) -> tuple[int, ...]:
    """Documents at each look of a session; none where its settings have one look.

    How many documents the text has for them is on record like a variant, so that rows are derived without the text.
    """
    if len(session.settings.looks) < 2:
        return ()
    counted = LongContext(session).measured("scored documents", partial(_counted, session))
    return sizes_within(session.settings.looks, int(counted["documents"]))


def _counted(session: Any) -> Arrays:
    return {"documents": np.array(len(session.corpus.scored))}


@dataclass(frozen=True)
class Seen:
    """Interval of a row at the look that was its last."""

    lab: LongContext
    """Instrument on the documents of that look."""
    interval: Interval
    level: float
    looks: str = ""
    """The last look of how many, in words; empty where there is but one."""

    @property
    def origin(self) -> LongContext | Origin:
        """Origin of the row: the variants' own, with all documents of its looks."""
        known = self.lab.session.store.origin_of(self.lab.name)
        if not self.looks or known is None:
            return self.lab
        documents = self.lab.looks[-1]
        return replace(known, documents=documents, tokens=known.tokens // known.documents * documents)

    @property
    def details(self) -> dict[str, str]:
        """Looks, for the page."""
        return {"looks": self.looks} if self.looks else {}


def first_look(lab: LongContext) -> LongContext:
    """Instrument on the documents of the first look, of which it is asked whether it may judge."""
    return lab.first(lab.looks[0]) if lab.looks else lab


def look(lab: LongContext, accept: Region, measure: Callable[..., Interval], *, once: bool = False) -> Seen:
    """Look at more and more documents until a row is decided.

    Args:
        lab: the instrument.
        accept: the row's region.
        measure: from the instrument on a look's documents, with the keywords `resamples` and `level`, to the interval.
        once: at the first look's documents alone, as where the instrument may not judge.
    """
    resamples = lab.settings.resamples
    sizes = lab.looks[:1] if once else lab.looks
    if len(sizes) < 2:
        part = first_look(lab)
        looks = f"1 look at {sizes[0]} documents" if sizes else ""
        return Seen(part, measure(part, resamples=resamples, level=LEVEL), LEVEL, looks)

    def interval(documents: int, level: float) -> Interval:
        needed = resamples_for(level) if documents >= FEWEST_TO_BOOTSTRAP else 0
        return measure(lab.first(documents), resamples=max(resamples, needed), level=level)

    outcome = measure_in_looks(Looks(sizes), accept, interval)
    return Seen(lab.first(outcome.units), outcome.interval, outcome.level, str(outcome))
