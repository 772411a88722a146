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
    token: str
    """Names it however the lines above move: text of its line, column, and number among equal ones of the file."""
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
    source = (root / path).read_text(encoding="utf-8")
    nodes, lines = list(ast_nodes(get_ast(source))), source.splitlines()
    found = defaultdict(list)
    for name in _operators():
        operator = get_operator(name)()
        positions = ((node, start) for node in nodes for start, _ in operator.mutation_positions(node))
        for occurrence, (node, start) in enumerate(positions):
            if node.parent is None or node.parent.type != "parameters":  # the star before keywords multiplies nothing
                found[start].append((name, occurrence))
    seen = Counter()
    for (row, column), choices in sorted(found.items()):
        line = lines[row - 1]
        token = f"{line.strip()} at {column - len(line) + len(line.lstrip())}"
        seen[token] += 1
        yield Place(path, f"{token}, {seen[token]}", tuple(choices))


def _mutant(root: Path, place: Place, seed: int) -> Mutant | None:
    """One thing that a place can become, of another meaning than before; None where there is none."""
    before = (root / place.path).read_text(encoding="utf-8")
    for name, occurrence in sorted(
        place.choices, key=lambda choice: _rank(seed, place.token, place.choices.index(choice))
    ):
        after = mutate_code(before, get_operator(name)(), occurrence)
        if after is not None and meaning(after) not in {None, meaning(before)}:
            return Mutant(place.path, *_difference(before, after, name), after)
    return None


def _difference(before: str, after: str, name: str) -> tuple[int, str, str, str]:
    """Number of the first line that differs, the operator, and the lines before and after, each as one."""
    old, new = before.splitlines(), after.splitlines()
    changes = [
        change for change in SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if change[0] != "equal"
    ]
    gone = [line for line in range(changes[0][1], changes[-1][2]) if old[line].strip()]
    was, becomes = (old[line] for line in gone), new[changes[0][3] : changes[-1][4]]
    return gone[0] + 1, name.rpartition("/")[2], *(" ".join(" ".join(lines).split()) for lines in (was, becomes))


def _rank(seed: int, *name: object) -> str:
    return hashlib.sha256(repr((seed, *name)).encode()).hexdigest()


def sample(root: Path, files: Sequence[str], *, count: int, seed: int) -> list[Mutant]:
    """A number of mutants drawn without return from all places of the files, sorted by file and line.

    Places are ordered by a hash of the seed, the file, the text of the line and the place in it, so an edit changes the
    sample where it is, and what was drawn elsewhere stays. What a place becomes is drawn alike.
    """
    found = [place for path in files for place in places(root, path)]
    drawn: list[Mutant] = []
    for place in sorted(found, key=lambda place: _rank(seed, place.path, place.token)):
        if len(drawn) == count:
            break
        if mutant := _mutant(root, place, seed):
            drawn.append(mutant)
    return sorted(drawn, key=lambda mutant: (mutant.path, mutant.line, mutant.operator, mutant.becomes))
