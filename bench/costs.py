"""Estimated seconds of a row: the pieces that it needs, from markers `cost` beside its test and from the record.

A piece is what is made once and shared: a variant, a teacher, the dense model's states. The first row that needs it
pays for it. What is measured in looks is counted with all of them. Seconds stated for the embedded scale are of two CPU
threads, those for a GPU of one H100; those on record are of the threads that the run had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest

from bench.measure.chunks import share_of
from bench.measure.settings import Settings
from bench.measure.stale import derivable, why_variant_stale
from bench.threads import MARKED, threads_of, times_slower
from bench.verdict.evidence import EFFORTS, Evidence, Result, Variant
from bench.verdict.regions import Verdict
from bench.verdict.rows import Row

OWN = 1.0
"""Seconds that a row takes beside its pieces, where no marker says."""
GPU_TIMES_FASTER = 40
"""By tokens of long context a second: an H100 against two CPU threads."""
DECIDED = (Verdict.REPRODUCED.value, Verdict.NOT_REPRODUCED.value)


@dataclass(frozen=True)
class Piece:
    """One thing that is made once for all rows of a folder at a scale."""

    place: tuple[str, str]
    """Scale and folder."""
    name: str
    seconds: float
    shared: bool = False
    """Whether variants stand on it, so that it is needed where one of them is."""


@dataclass(frozen=True)
class Known:
    """Settings of a scale, and what is on record of it."""

    settings: Settings
    record: Evidence
    run: Evidence
    """Evidence of the run's own folder."""
    resume: bool
    threads: int = MARKED
    """CPU threads of this run."""

    def row(self, name: str) -> tuple[Result, Evidence] | None:
        """Row as it was measured last, the run's own first, with the evidence that holds it."""
        for evidence in (self.run, self.record):
            if (row := evidence.rows.get(name)) is not None and row.was_run:
                return row, evidence
        return None

    def decided(self, name: str) -> bool:
        """True if a row has a verdict either way."""
        known = self.row(name)
        return known is not None and known[0].verdict in DECIDED

    def derived(self, name: str) -> bool:
        """True if `--resume` derives the row from the record, which measures nothing."""
        return self.resume and derivable(name, self.record, self.settings.effort) is not None

    def standing(self, folder: str) -> dict[str, float]:
        """Share of all documents of each variant of a folder that `--resume` takes from the run's own folder."""
        if not self.resume:
            return {}
        return {
            variant.name: share_of(variant.name, self.settings.documents)
            for variant in self.run.variants.values()
            if any(root.startswith(f"bench.{folder}.") for root in variant.roots)
            and variant.origin.effort == self.settings.effort
            and not why_variant_stale(variant)
        }


@dataclass(frozen=True)
class Cost:
    """Seconds of one item, by itself and by what it needs."""

    own: float
    pieces: tuple[Piece, ...] = ()

    @property
    def seconds(self) -> float:
        """Seconds where nothing that it needs is there yet."""
        return self.own + sum(piece.seconds for piece in self.pieces)


@dataclass
class Made:
    """Pieces that are there once some items have run."""

    names: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def missing(self, cost: Cost) -> list[Piece]:
        """Pieces that an item has to make; a variant's name on record holds that of its method."""
        return [p for p in cost.pieces if not any(_same(p.name, name) for name in self.names.get(p.place, ()))]

    def owed(self, cost: Cost) -> float:
        """Seconds that an item takes after those that have run."""
        return cost.own + sum(piece.seconds for piece in self.missing(cost))

    def add(self, cost: Cost) -> None:
        """Count an item's pieces as made."""
        for piece in cost.pieces:
            self.names.setdefault(piece.place, set()).add(piece.name)


def cost_of(item: pytest.Item, known: Mapping[str, Known]) -> Cost:
    """Cost of an item by its markers; by the seconds on record where all its variants are there at this effort.

    Args:
        item: a test, with the scale and the row that it is about among its parameters.
        known: by scale; items of no scale there have what their markers say of the GPU.
    """
    row, scale = row_of_item(item), scale_of_item(item)
    of = known.get(scale)
    effort = of.settings.effort if of else "normal"
    stated = _stated(item, row, scale, effort)
    if of is None:
        return stated
    if row is not None:
        if of.derived(row.name):
            return Cost(min(stated.own, OWN))
        stated = _recorded(of, row, stated)
        stated = _without(stated, of.standing(item.path.parent.name))
    return _on_device(stated, scale, of)


def row_of_item(item: pytest.Item) -> Row | None:
    """Row that an item is about; None for a test of speed and its like."""
    row = _parameters(item).get("row")
    return row if isinstance(row, Row) else None


def scale_of_item(item: pytest.Item) -> str:
    """Scale that an item runs at."""
    return str(_parameters(item).get("session", "embedded"))


def _parameters(item: pytest.Item) -> Mapping[str, object]:
    return getattr(getattr(item, "callspec", None), "params", {})


def _stated(item: pytest.Item, row: Row | None, scale: str, effort: str) -> Cost:
    """Cost of an item by its markers alone, the closest first."""
    place = scale, item.path.parent.name
    own, kinds, pieces = [], [], dict[str, Piece]()
    votes = row is not None and not row.control
    for marker in item.iter_markers("cost"):
        seconds = _seconds(marker, scale, effort, votes=votes)
        if "of" in marker.kwargs:
            kinds.append((marker, seconds))
        elif "shared" in marker.kwargs:
            name = marker.kwargs["shared"]
            pieces.setdefault(name, Piece(place, name, seconds, shared=True))
        elif fixture := marker.kwargs.get("fixture"):
            if fixture in getattr(item, "fixturenames", ()):
                pieces.setdefault(fixture, Piece(place, f"fixture {fixture}", seconds, shared=True))
        else:
            own.append(seconds)
    for contestant in _contestants(row):
        found = (_made(contestant, marker, seconds) for marker, seconds in kinds)
        name, seconds = next((made for made in found if made[1]), ("", 0.0))
        pieces.setdefault(name, Piece(place, name, seconds))
    return Cost(own[0] if own else OWN, tuple(piece for piece in pieces.values() if piece.seconds))


def _made(contestant: object, marker: pytest.Mark, seconds: float) -> tuple[str, float]:
    """Name of a contestant's piece by a marker, and its seconds; none where the marker is of others.

    What is made otherwise than elsewhere is another piece; its name has the way before it, as no name on record has.
    """
    if not isinstance(contestant, marker.kwargs["of"]):
        return "", 0.0
    how = marker.kwargs.get("how")
    return f"{how}/{contestant!r}" if how else repr(contestant), seconds * marker.kwargs.get("times", _once)(contestant)


def _once(_contestant: object) -> float:
    return 1.0


def _contestants(row: Row | None) -> Iterator[object]:
    """Variants that a row declares, those with a name of their own among them."""
    for contestant in row.contestants if row else ():
        yield from contestant if isinstance(contestant, tuple) else (contestant,)


def _seconds(marker: pytest.Mark, scale: str, effort: str, *, votes: bool) -> float:
    """Seconds that a marker states: for a scale, for rows that vote, and for each effort where they are three."""
    kind = "embedded" if scale == "embedded" else "gpu"
    stated = marker.kwargs.get(kind, marker.args[0] if marker.args else 0.0)
    if votes:
        stated = marker.kwargs.get(f"{kind}_votes", stated)
    return float(stated[EFFORTS.index(effort)] if isinstance(stated, tuple) else stated)


def _recorded(of: Known, row: Row, stated: Cost) -> Cost:
    """Cost by the seconds on record, where there are any at this effort for all of a row's variants."""
    found = of.row(row.name)
    if found is None or not found[0].variants or not stated.pieces or found[0].effort != of.settings.effort:
        return stated
    result, evidence = found
    variants = [evidence.variants.get(key) for key in result.variants or ()]
    if None in variants:
        return stated
    place = stated.pieces[0].place
    pieces = (Piece(place, v.name, _marked(v, evidence)) for v in variants if v is not None)
    return replace(stated, pieces=tuple(pieces))


def _marked(variant: Variant, evidence: Evidence) -> float:
    """Seconds that a variant on record would have taken on the threads that markers are of, or did on its GPU."""
    run = evidence.runs.get(variant.run, {})
    return variant.seconds * (1.0 if run.get("gpu") else times_slower(threads_of(run), MARKED))


def _without(cost: Cost, standing: Mapping[str, float]) -> Cost:
    """Cost of an item without the variants that stand; where all of them do, nothing that they share is needed.

    Of a variant that stands by chunks of documents, the other chunks are left to measure.
    """
    left = []
    for piece in cost.pieces:
        shares = (1.0 if name == piece.name else share for name, share in standing.items() if _same(piece.name, name))
        rest = 1 - sum(shares)
        if rest > 0:
            left.append(replace(piece, seconds=rest * piece.seconds))
    needless = len(left) < len(cost.pieces) and all(piece.shared for piece in left)
    return replace(cost, pieces=() if needless else tuple(left))


def _same(one: str, other: str) -> bool:
    """True if the longer name says the shorter one among its words: a method within another's brackets is not it."""
    shorter, longer = sorted((one, other), key=len)
    start = longer.find(shorter)
    before, after = longer[max(start - 1, 0) : max(start, 0)], longer[start + len(shorter) :][:1]
    return start >= 0 and before in ("", " ") and after in ("", " ", ",")


def _on_device(cost: Cost, scale: str, of: Known) -> Cost:
    """Cost on the device that is used and its threads, where they are others than the stated seconds are of."""
    on_gpu, of_gpu = of.settings.device.startswith("cuda"), scale != "embedded"
    factor = 1.0 if on_gpu else times_slower(MARKED, of.threads)
    if on_gpu != of_gpu:
        factor *= 1 / GPU_TIMES_FASTER if on_gpu else GPU_TIMES_FASTER
    return replace(cost, pieces=tuple(replace(piece, seconds=factor * piece.seconds) for piece in cost.pieces))
