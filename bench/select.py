"""Selection and order of the session's items: which claims, and what comes before what."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path

import pytest

from bench.verdict.claims import CLAIMS, INSTRUMENTS

COST_CLASSES = (1.0, 10.0, 60.0, 300.0)
"""Seconds up to which a class of cost goes; the first is what takes a moment."""
LISTING = "pytest bench --claims=list"


def known_ids() -> dict[str, str]:
    """Claims, parts and instruments that `--claims` takes, each with its sentence."""
    sentences = dict(INSTRUMENTS)
    for claim in CLAIMS.values():
        sentences[claim.id] = f"{claim.text} ({claim.paper.key}, {claim.place})"
        if len(claim.parts) > 1:
            sentences |= {claim.id + letter: sentence for letter, sentence in claim.parts.items()}
    return sentences


def listing() -> str:
    """Claims and their parts as `--claims=list` prints them."""
    known = known_ids()
    width = max(map(len, known))
    parts = {claim.id + letter for claim in CLAIMS.values() for letter in claim.parts}
    return "\n".join(f"{'  ' if name in parts else ''}{name:<{width}}  {text}" for name, text in known.items())


def wanted_ids(wanted: str) -> list[str]:
    """Claims and parts that `--claims` names, in the case that they are declared in.

    Raises:
        pytest.UsageError: a name is of no claim, part or instrument.
    """
    parts = {claim.id + letter for claim in CLAIMS.values() for letter in claim.parts}
    spelled = {name.lower(): name for name in (*known_ids(), *parts)}
    asked = [name.strip() for name in wanted.split(",") if name.strip()]
    if not asked:
        raise pytest.UsageError(f"--claims is {wanted!r}; give claims or parts, such as LC3,KP1a; {LISTING} has all")
    for name in asked:
        if name.lower() not in spelled:
            near = [spelled[match] for match in get_close_matches(name.lower(), spelled, cutoff=0.5)]
            nearest = f"the nearest are {', '.join(near)}; " if near else ""
            raise pytest.UsageError(f"--claims names {name!r}, which is no claim; {nearest}{LISTING} has all")
    return [spelled[name.lower()] for name in asked]


def selected(items: Sequence[pytest.Item], wanted: str) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Items of the wanted claims and parts, and the others.

    Args:
        items: what was collected; their marker `claim(of)` decides.
        wanted: claims, parts and instruments between commas, such as `LC3,KP1a,INSTRUMENT`.

    Raises:
        pytest.UsageError: a name is of no claim, part or instrument.
    """
    names = set(wanted_ids(wanted))
    kept = [item for item in items if names & _names(item)]
    chosen = set(kept)
    return kept, [item for item in items if item not in chosen]


def unmeasured(items: Sequence[pytest.Item], wanted: str) -> list[str]:
    """Wanted claims and parts that no item measures."""
    measured = {name for item in items for name in _names(item)}
    return [name for name in wanted_ids(wanted) if name not in measured] if wanted else []


def _of(item: pytest.Item) -> list[str]:
    return [marker.args[0] for marker in item.iter_markers("claim")]


def _names(item: pytest.Item) -> set[str]:
    """Names that take an item in: LC3b is of LC3 as well; KP2a, of the claim's one part, is KP2."""
    names: set[str] = set()
    for of in _of(item):
        claim = CLAIMS.get(of.rstrip("abcdefgh"))
        names.add(of)
        if claim is not None:
            names |= {claim.id, *(claim.id + letter for letter in claim.parts if len(claim.parts) == 1)}
    return names


def ordered(
    items: Sequence[pytest.Item],
    cost: Callable[[pytest.Item], float],
    decided: Callable[[pytest.Item], bool] = lambda _item: False,
) -> list[pytest.Item]:
    """Items in one order for all scales, so that the first verdicts stand at once and the dear ones come last.

    What takes a moment comes first. Then come rows that much rests on (mark `leads`), their instruments before the
    rest, and then the others by class of cost, in which models that are trained come last; inside a class rows that
    are undecided on record lead. Those of one folder stay together and an instrument's own rows lead. A claim is as
    dear as the instruments that it rests on: rows of the same folder whose fixtures it asks for, but for those that
    all ask for. Times of speed are no verdicts, and come after them.

    Args:
        items: what was collected.
        cost: seconds of an item by itself, with all that it needs.
        decided: True for an item whose row has a verdict on record.
    """
    common = _common_fixtures(items)
    places = {folder: place for place, folder in enumerate(dict.fromkeys(item.path.parent for item in items))}
    dear = {item: bisect_left(COST_CLASSES, cost(item)) for item in items}
    instruments = [item for item in items if "INSTRUMENT" in _of(item)]
    needs = {item: _fixtures(item) - common[item.path.parent] for item in instruments}

    def rests_on(item: pytest.Item) -> list[pytest.Item]:
        if item in needs or not _of(item):
            return []
        return [i for i in instruments if i.path.parent == item.path.parent and needs[i] <= _fixtures(item)]

    def key(item: pytest.Item) -> tuple[bool, int, int, bool, int, bool]:
        instrument = not INSTRUMENTS.keys().isdisjoint(_of(item))
        cost_class = max([dear[item], *(dear[instrument] for instrument in rests_on(item))])
        stage = 3
        if not dear[item]:
            stage = cost_class = 0
        elif item.get_closest_marker("leads"):
            stage = 1 if instrument else 2
        known = decided(item) and not instrument
        return not _of(item), stage, cost_class, known, places[item.path.parent], not instrument

    return sorted(items, key=key)


def _fixtures(item: pytest.Item) -> set[str]:
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return {name for name in getattr(item, "fixturenames", ()) if name not in parameters}


def _common_fixtures(items: Sequence[pytest.Item]) -> dict[Path, set[str]]:
    """Fixtures by folder that every row in it asks for; a folder without rows has none."""
    common: dict[Path, set[str]] = {item.path.parent: set() for item in items}
    for folder in common:
        rows = [_fixtures(item) for item in items if item.path.parent == folder and _of(item)]
        common[folder] = set.intersection(*rows) if rows else set()
    return common
