"""A fixed sample of mutants: as many places of the code as asked for, one change at each, by cosmic-ray's operators."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from tests.mutants.meaning import meaning

KINDS = (
    {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"},
    {"RShift", "LShift", "BitOr", "BitAnd", "BitXor"},
    {"Eq", "NotEq", "Lt", "LtE", "Gt", "GtE"},
    {"Is", "IsNot"},
)
"""Operators that take one another's place. Others (`+` by `<<`) fail on the first call, whatever is tested."""


@dataclass(frozen=True)
class Mutant:
    """One change of one line."""

    path: str
    line: int
    operator: str
    was: str
    becomes: str
    source: str
    """The whole file with the change."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names it however the lines above move: file, operator, the line before and after."""
        return self.path, self.operator, self.was, self.becomes


@dataclass(frozen=True)
class Place:
    """A token that operators can change, and which occurrence of each operator it is."""

    path: str
    position: tuple[int, int]
    choices: tuple[tuple[str, int], ...]


def _comparable(operator: str) -> bool:
    """True unless it puts an operator in the place of one of another kind."""
    parts = operator.split("_")
    swap = len(parts) == 3 and parts[0].split("/")[-1].startswith(("ReplaceBinary", "ReplaceComparison"))
    return not swap or any(set(parts[1:]) <= kind for kind in KINDS)


def _operators() -> list[str]:
    """Names of those that need no settings."""
    return [name for name in operator_names() if not get_operator(name).arguments() and _comparable(name)]


def places(root: Path, path: str) -> Iterator[Place]:
    """Every place of a file."""
    nodes = list(ast_nodes(get_ast((root / path).read_text(encoding="utf-8"))))
    found = defaultdict(list)
    for name in _operators():
        operator = get_operator(name)()
        positions = ((node, start) for node in nodes for start, _ in operator.mutation_positions(node))
        for occurrence, (node, start) in enumerate(positions):
            if node.parent is None or node.parent.type != "parameters":  # the star before keywords multiplies nothing
                found[start].append((name, occurrence))
    for position, choices in sorted(found.items()):
        yield Place(path, position, tuple(choices))


def _mutants(root: Path, place: Place) -> Iterator[Mutant]:
    """What can become of a place and means something else than before."""
    before = (root / place.path).read_text(encoding="utf-8")
    for name, occurrence in place.choices:
        after = mutate_code(before, get_operator(name)(), occurrence)
        if after is None or meaning(after) in {None, meaning(before)}:
            continue
        yield Mutant(place.path, *_difference(before, after, name), after)


def _difference(before: str, after: str, name: str) -> tuple[int, str, str, str]:
    """Number of the first line that differs, the operator, and the lines before and after, each as one."""
    old, new = before.splitlines(), after.splitlines()
    changes = [change for change in SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if change[0] != "equal"]
    gone = [line for line in range(changes[0][1], changes[-1][2]) if old[line].strip()]
    was, becomes = (old[line] for line in gone), new[changes[0][3] : changes[-1][4]]
    return gone[0] + 1, name.split("/")[-1], " ".join(" ".join(was).split()), " ".join(" ".join(becomes).split())


def _rank(seed: int, *name: object) -> str:
    return hashlib.sha256(repr((seed, *name)).encode()).hexdigest()


def sample(root: Path, files: Sequence[str], *, count: int, seed: int) -> list[Mutant]:
    """A number of mutants drawn without return from all places of the files, sorted by file and line.

    Places are ordered by a hash of the seed, the file, the text of the line and the place in it, so an edit changes the
    sample where it is, and what was drawn elsewhere stays. A place's mutant is drawn alike from those that it has.
    """
    ranked = []
    for path in files:
        lines = (root / path).read_text(encoding="utf-8").splitlines()
        seen = Counter()
        for place in places(root, path):
            row, column = place.position
            text = lines[row - 1]
            token = (path, text.strip(), column - (len(text) - len(text.lstrip())))
            ranked.append((_rank(seed, *token, seen[token]), place))
            seen[token] += 1
    drawn: list[Mutant] = []
    for _, place in sorted(ranked, key=lambda pair: pair[0]):
        if len(drawn) == count:
            break
        mutants = list(_mutants(root, place))
        if mutants:
            drawn.append(min(mutants, key=lambda mutant: _rank(seed, *mutant.key)))
    return sorted(drawn, key=lambda mutant: (mutant.path, mutant.line, mutant.operator, mutant.becomes))
