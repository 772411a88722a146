"""Papers and claims as the files of this folder write them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """A paper whose claims are tested."""

    key: str
    """Name of its folder under `bench/`."""
    title: str
    models: str
    """Models and text that the paper measured on."""


@dataclass(frozen=True)
class Claim:
    """One statement of a paper."""

    id: str
    paper: Paper
    place: str
    text: str
    parts: dict[str, str]
    """Sentences by letter."""
    built: bool = True
    """True if the suite has rows for it."""


@dataclass(frozen=True)
class Revision:
    """A region or statistic that was changed after results under the old one had been seen."""

    of: str
    """Claims or parts, such as LC1, LC3–LC6."""
    version: str
    """Version of the suite since when the new one holds."""
    old: str
    new: str
    why: str
    fresh: str
    """What the new one is judged on that was never scored under the old."""


def without_votes(of: str, *, fresh: str) -> Revision:
    """Revision of claims whose rows of 0.3.0 no longer vote."""
    return Revision(
        of,
        "0.10.0",
        old="rows that 0.3.0 measured vote",
        new="they are shown and do not vote until they are measured anew",
        why="It kept nothing to derive them from again and qualified no instrument; by today's rows some of them are "
        "controls or are no longer asked.",
        fresh=fresh,
    )


def claim(paper: Paper, identifier: str, place: str, text: str, *, built: bool = True, **parts: str) -> Claim:
    """Claim with its parts by letter; one without parts is its own part a."""
    return Claim(identifier, paper, place, text, parts or {"a": text}, built)
