"""Definitions of a module as text that only their meaning decides, and the names that each leads to.

A definition is a function, a class, a method, or what a module assigns. Its text is its syntax without docstrings,
annotations, import lines and layout, and with an `@` for every name that a module defines or imports.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

RUN = ""
"""Name that stands for a module's conditional definitions, and its statements that define nothing."""
EVERY = "*"
"""Attribute that stands for any: the object itself is handed on, and any method may be called."""

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
PLAIN = (*DEFINITIONS, ast.Assign, ast.AnnAssign, ast.AugAssign)
IMPORTS = (ast.Import, ast.ImportFrom)
INNER = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
UNSAID = ("ctx", "kind", "type_comment", "type_params")

Route = tuple[str, ...]
"""A module and the attributes to follow from there: `("models.load", "Decoder", "hidden")`."""


@dataclass
class Unit:
    """A definition as it is hashed, and what it leads to. A class's is what is left of it without its methods."""

    text: str = ""
    names: list[tuple[Route, ...]] = field(default_factory=list)
    """Definitions that each `@` in the text may stand for."""
    mentions: set[Route] = field(default_factory=set)
    """Definitions named in the text or in annotations; a class's bases are not among them."""
    used: set[str] = field(default_factory=set)
    """Attributes of its own object or class that are read."""
    stored: set[str] = field(default_factory=set)
    """Attributes of its own object or class that are set."""
    bases: set[Route] = field(default_factory=set)
    members: dict[str, str] | None = None
    """Names that a class's body binds, each with the name of a method's unit or nothing; None for other units."""


@dataclass
class File:
    """A module: its units, the unit of each name that it defines, and what it imports."""

    units: dict[str, Unit]
    defined: dict[str, str]
    imports: dict[str, set[Route]]


class Reader:
    """Writes syntax as text and notes what it names."""

    def __init__(self, package: str, known: dict[str, set[Route]], nodes: Sequence[ast.AST], owner: str = "") -> None:
        inside = [node for top in nodes for node in ast.walk(top)]
        self.known = {name: set(routes) for name, routes in known.items()}
        for name, route in _imported(inside, package):
            self.known.setdefault(name, set()).add(route)
        self.local = {node.arg for node in inside if isinstance(node, ast.arg)} | _stored(inside)
        self.local |= {node.name for node in inside if isinstance(node, DEFINITIONS) and node not in nodes}
        self.owner, self.me = owner, {_first_argument(node) for node in nodes if owner and isinstance(node, FUNCTIONS)}
        self.unit = Unit()
        self.unit.text = f"{owner}.{self.text(list(nodes))}"

    def text(self, node: object) -> str:
        """Syntax as text, the same in every layout; fields that are empty are left out."""
        match node:
            case ast.Name() | ast.Attribute():
                return self._name(node)
            case ast.AnnAssign():
                self._annotation(node.annotation)
                return self.text(ast.Assign([node.target], node.value) if node.value else [node.target])
            case ast.AugAssign(target=ast.Attribute(attr=name)):
                self.unit.used.add(name)
        if isinstance(node, list):
            return f"[{','.join(self.text(part) for part in node if not _idle(part))}]"
        if not isinstance(node, ast.AST):
            return repr(node)
        texts = (f"{name}={text}" for name, text in self._fields(node) if text not in {"[]", "None"})
        return f"{type(node).__name__}({','.join(texts)})"

    def _fields(self, node: ast.AST) -> Iterator[tuple[str, str]]:
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns"}:
                self._annotation(value)
            elif name not in UNSAID:
                yield name, self.text(value)

    def _annotation(self, node: ast.expr | None) -> None:
        """Note what an annotation mentions, and leave it out of the text."""
        before = len(self.unit.names)
        self.text(node)
        del self.unit.names[before:]

    def _name(self, node: ast.Name | ast.Attribute) -> str:
        base: ast.expr = node
        path: list[str] = []
        while isinstance(base, ast.Attribute):
            base, path = base.value, [base.attr, *path]
        dotted = "".join(f".{name}" for name in path)
        if not isinstance(base, ast.Name):
            if isinstance(base, ast.Call) and isinstance(base.func, ast.Name) and base.func.id == "super":
                self.unit.used.update(path[:1])
            return f"{self.text(base)}{dotted}"
        if base.id in self.me or (base.id == self.owner and path):
            sets = isinstance(node.ctx, ast.Store) and len(path) == 1
            handed_on = not path or path[0] in {"__class__", "__dict__"}
            (self.unit.stored if sets else self.unit.used).add(EVERY if handed_on else path[0])
            return f"{base.id}{dotted}"
        routes = tuple((*route, *path) for route in self.known.get(base.id, ()))
        self.unit.mentions.update(routes)
        if not routes or base.id in self.local:
            return f"{base.id}{dotted}"
        self.unit.names.append(routes)
        return "@"


@lru_cache(maxsize=1024)
def read_module(source: bytes, module: str, package: str) -> File:
    """Definitions of a module's source; `package` is what its relative imports start from.

    Raises:
        SyntaxError: it is not Python, or it imports `*`.
    """
    body = ast.parse(source, module).body
    groups: dict[str, list[ast.stmt]] = {}
    defined: dict[str, str] = {}
    for statement in body:
        if not _is_silent(statement):
            names = _bound(statement)
            conditional = not names or not isinstance(statement, PLAIN)
            for name in {RUN} if conditional else names:
                groups.setdefault(name, []).append(statement)
            defined |= {name: RUN if conditional and name not in groups else name for name in names}
    imports: dict[str, set[Route]] = {}
    for name, route in _imported(_outside(body), package):
        imports.setdefault(name, set()).add(route)
    known = {name: {(module, name)} for name in defined}
    known |= {name: known.get(name, set()) | routes for name, routes in imports.items()}
    units: dict[str, Unit] = {}
    for name, nodes in groups.items():
        if len(nodes) == 1 and isinstance(nodes[0], ast.ClassDef):
            units |= _class(nodes[0], package, known)
        else:
            units[name] = Reader(package, known, nodes).unit
    return File(units, defined, imports)


def _class(node: ast.ClassDef, package: str, known: dict[str, set[Route]]) -> dict[str, Unit]:
    """Units of a class: itself without its methods, and each of them."""
    methods: dict[str, list[ast.stmt]] = {}
    for part in node.body:
        if isinstance(part, FUNCTIONS):
            methods.setdefault(part.name, []).append(part)
    header = copy.copy(node)
    header.body = [part for part in node.body if not isinstance(part, FUNCTIONS)]
    unit = Reader(package, known, [header]).unit
    bases = [base for base in node.bases if isinstance(base, ast.Name | ast.Attribute)]
    header.bases = [base for base in node.bases if base not in bases]
    unit.mentions = Reader(package, known, [header]).unit.mentions
    unit.bases = Reader(package, known, bases).unit.mentions
    unit.used = {part.id for part in ast.walk(header) if isinstance(part, ast.Name)} & set(methods)
    unit.members = {name: "" for part in header.body for name in _bound(part)}
    unit.members |= {name: f"{node.name}.{name}" for name in methods}
    return {node.name: unit} | {
        f"{node.name}.{name}": Reader(package, known, nodes, node.name).unit for name, nodes in methods.items()
    }


def _outside(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Syntax that is in no function, class or comprehension."""
    for node in nodes:
        yield node
        if not isinstance(node, (*DEFINITIONS, *INNER)):
            yield from _outside(ast.iter_child_nodes(node))


def _bound(statement: ast.stmt) -> set[str]:
    """Names that a statement of a module or of a class binds, but for imports."""
    nodes = list(_outside([statement]))
    return _stored(nodes) | {node.name for node in nodes if isinstance(node, DEFINITIONS)}


def _stored(nodes: Iterable[ast.AST]) -> set[str]:
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _imported(nodes: Iterable[ast.AST], package: str) -> Iterator[tuple[str, Route]]:
    """Names that imports bind, and where each leads."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield (alias.asname, (alias.name,)) if alias.asname else (top, (top,))
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                if alias.name == "*":
                    raise SyntaxError(f"line {node.lineno} imports *, and names cannot be followed through that")
                yield alias.asname or alias.name, (module, alias.name)


def _idle(node: object) -> bool:
    """True if a statement computes nothing: an import, `pass`, a docstring or a constant by itself."""
    alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return alone or isinstance(node, (*IMPORTS, ast.Pass))


def _is_silent(statement: ast.stmt) -> bool:
    """True if a module's statement is idle, guards only idle ones, or runs only as a program."""
    inside = [node for node in ast.walk(statement) if isinstance(node, ast.stmt)]
    program = isinstance(statement, ast.If) and "__name__" in ast.dump(statement.test)
    return program or all(isinstance(node, (ast.If, ast.Try)) or _idle(node) for node in inside)


def _first_argument(method: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Name that a method gives its object or class; empty for a static one."""
    static = any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in method.decorator_list)
    names = [argument.arg for argument in (*method.args.posonlyargs, *method.args.args)]
    return names[0] if names and not static else ""
