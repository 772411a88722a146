"""Meaning of a source file: what is left of it without docstrings, annotations and the wording of errors."""

from __future__ import annotations

import ast
from typing import Any


class _Wordless(ast.NodeTransformer):
    """Drops what a test should not look at. Annotations of fields stay as fields, of no type in particular."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(value=None)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        if ast.unparse(node.func) == "warnings.warn":
            return node.func
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """Aliases of types are annotations under a name: `Draw = Callable[[Generator], Array | None]`."""
        value = node.value
        if isinstance(value, ast.Subscript) and ast.unparse(value.value) == "Callable":
            return None
        return self.generic_visit(node)


def meaning(source: str) -> str | None:
    """Syntax tree of a file as text, without words and types; None where it is no Python."""
    try:
        compile(source, "<mutant>", "exec", dont_inherit=True)
    except SyntaxError:
        return None
    return ast.dump(_Wordless().visit(ast.parse(source)))
