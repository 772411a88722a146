"""Fingerprint of the code that a measurement reaches: another hash where another number may come out, and only there.

Files are parsed, never imported. A definition reaches what it names, and the name of another definition stands for
that definition, in whatever module it is and however it is imported.

Not followed: subclasses (give the concrete class as a root), names made at run time (`getattr(module, name)`), a table
that decorators fill, and annotations in quotes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from types import MethodType

from bench.measure.definitions import EVERY, RUN, File, Route, Unit, read_module

ROOT = Path(__file__).parents[2]
PACKAGES = ("bench", "compress", "models")
CONSTRUCTORS = ("__new__", "__init__", "__post_init__", "__getattr__")
"""Methods that run without being named."""

Key = tuple[str, str]
"""A module and the name of a definition in it, `Class.method` for a method."""


class MissingRootError(LookupError):
    """A root that the code does not have any more."""


class Code:
    """Project's definitions as they stand in a folder; every file is read once, when something reaches it."""

    def __init__(self, folder: Path, packages: Iterable[str]) -> None:
        self.folder, self.packages = folder, set(packages)
        self.files: dict[str, File | None] = {}

    def file(self, module: str) -> File | None:
        """The module's definitions; None for a module that is not the project's."""
        if module not in self.files:
            self.files[module] = self._read(module) if module.partition(".")[0] in self.packages else None
        return self.files[module]

    def _read(self, module: str) -> File | None:
        place = self.folder.joinpath(*module.split("."))
        parent = module.rpartition(".")[0]
        for path, package in ((place / "__init__.py", module), (place.with_name(f"{place.name}.py"), parent)):
            if path.is_file():
                try:
                    return read_module(path.read_bytes(), module, package)
                except (SyntaxError, ValueError) as error:
                    raise ValueError(f"{path} cannot be read as Python: {error}") from error
        return File({}, {}, {}) if place.is_dir() else None

    def unit(self, key: Key) -> Unit:
        """The definition of that key."""
        file = self.file(key[0])
        if file is None:
            raise KeyError(key)
        return file.units[key[1]]

    def find(self, route: Route, seen: frozenset[Route] = frozenset()) -> tuple[set[Key], str]:
        """The definitions where a route ends, through modules and re-exports, and its spelling without the modules."""
        module, *path = route
        file = self.file(module)
        if file is None or route in seen:
            return set(), "" if file else ".".join(route)
        if not path:
            return {(module, name) for name in file.units}, ""
        name, rest = path[0], path[1:]
        ways = [(*target, *rest) for target in file.imports.get(name, ())]
        if not ways and name not in file.defined and self.file(f"{module}.{name}"):
            ways = [(f"{module}.{name}", *rest)]
        ends = [self.find(way, seen | {route}) for way in ways]
        if name in file.defined or not ends:
            ends.append(({(module, file.defined[name])} if name in file.defined else set(), ".".join(path)))
        return {key for keys, _ in ends for key in keys}, "|".join(sorted({spelling for _, spelling in ends}))

    def ends(self, routes: Iterable[Route]) -> set[Key]:
        """The definitions where any of the routes ends."""
        return {key for route in routes for key in self.find(route)[0]}

    def reach(self, roots: Iterable[str]) -> set[Key]:
        """Definitions that are named by the roots, by what they name, and so on."""
        waiting = [step for root in roots for step in self._start(root)]
        seen: set[tuple[Key, bool]] = set()
        while waiting:
            key, whole = step = waiting.pop()
            if step in seen:
                continue
            seen.add(step)
            unit, parts = self.unit(key), key[0].split(".")
            waiting += [(end, True) for end in self.ends(unit.mentions | (unit.bases if whole else set()))]
            if whole:
                waiting += [((key[0], method), False) for method in (unit.members or {}).values() if method]
            for module in (".".join(parts[: count + 1]) for count in range(len(parts))):
                if (file := self.file(module)) and RUN in file.units:
                    waiting.append(((module, RUN), False))
        return {key for key, _ in seen}

    def _start(self, root: str) -> list[tuple[Key, bool]]:
        """A root's definitions, each as a whole (a class with all methods and bases) or by itself."""
        module, _, path = root.partition(":")
        name, member, *_ = [*path.split("."), ""]
        keys = self.ends([(module, name)]) if name else set()
        lineage = self._lineage(keys)
        bodies = [body for key in lineage if (body := self.unit(key).members) is not None]
        if not keys or (bodies and member and not any(member in body for body in bodies)):
            raise MissingRootError(f"{root} is not defined below {self.folder}")
        is_method = any(body.get(member) for body in bodies)
        return [(key, False) for key in self._part(lineage, member)] if is_method else [(key, True) for key in keys]

    def _lineage(self, keys: Iterable[Key]) -> list[Key]:
        """Classes with their bases and the bases of those."""
        lineage = list(keys)
        for key in lineage:
            lineage += self.ends(self.unit(key).bases) - set(lineage)
        return lineage

    def _part(self, lineage: list[Key], member: str) -> set[Key]:
        """Classes without methods, and the methods that one of them leads to through its object."""
        classes = [key for key in lineage if self.unit(key).members is not None]
        methods = {(key[0], name) for key in classes for name in (self.unit(key).members or {}).values() if name}
        used = {member, *CONSTRUCTORS}.union(*(self.unit(key).used for key in classes))
        stored: set[str] = set()
        reached: set[Key] = set()
        before = None
        while reached != before:
            before = reached
            reached = {
                key
                for key in methods
                if key[1].rpartition(".")[2] in used | stored or EVERY in used or self.unit(key).stored & used
            }
            used = used.union(*(self.unit(key).used for key in reached))
            stored = stored.union(*(self.unit(key).stored for key in reached))
        return {*lineage, *reached}

    def digests(self, reached: set[Key]) -> dict[Key, str]:
        """A hash of every definition, by its text and by those that its names stand for.

        A definition's first hash has its text alone. Each round adds the hashes of what it names, until no two
        definitions are told apart that were not before: so equal names of different definitions are different.
        """
        leads: dict[Key, list[set[Key]]] = {}
        digests = {}
        for key in reached:
            unit = self.unit(key)
            places = [[self.find(route) for route in routes] for routes in unit.names]
            spellings = ["|".join(sorted({spelling for _, spelling in ways})) for ways in places]
            digests[key] = _hash(unit.text, *spellings)
            leads[key] = [{end for ends, _ in ways for end in ends} & reached for ways in places]
            leads[key].append({(key[0], method) for method in (unit.members or {}).values()} & reached)
        while True:
            finer = {
                key: _hash(digests[key], *("|".join(sorted(digests[end] for end in ends)) for ends in leads[key]))
                for key in reached
            }
            if len(set(finer.values())) == len(set(digests.values())):
                return finer
            digests = finer


def code_sha256(roots: Iterable[str], folder: Path = ROOT, packages: Iterable[str] = PACKAGES) -> str:
    """Hash of the code that roots reach, each a `module:function`, `module:Class` or `module:Class.method`.

    A class brings all its methods; `Class.method` brings the class's fields and constructors, that method, and what it
    calls through its object.

    Raises:
        MissingRootError: a root is not defined below the folder.
        ValueError: a file that is reached is not Python.
    """
    code = Code(folder, packages)
    return _hash(*sorted(set(code.digests(code.reach(roots)).values())))


def reached(roots: Iterable[str], folder: Path = ROOT, packages: Iterable[str] = PACKAGES) -> list[str]:
    """Definitions that `code_sha256` hashes, written as roots are; a module's own statements end at the colon."""
    return sorted(f"{module}:{name}" for module, name in Code(folder, packages).reach(roots))


def root_of(thing: object) -> str:
    """Root of a function, a class, a method, or of the class of any other object.

    A bound method's is that of its object's class, which may inherit it. What is defined inside a function has that
    function as its root.
    """
    if isinstance(thing, MethodType):
        owner = thing.__self__ if isinstance(thing.__self__, type) else type(thing.__self__)
        return f"{root_of(owner)}.{thing.__name__}"
    qualname = getattr(thing, "__qualname__", None) or type(thing).__qualname__
    return f"{thing.__module__}:{qualname.partition('.<locals>')[0]}"


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
