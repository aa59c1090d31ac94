"""Walking syntax trees: dotted chains, and which nodes run when."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BUILTINS = frozenset(dir(builtins))


def chain(node: ast.AST) -> str:
    """``a.b.c`` of a name or an attribute of names; empty for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


def root(dotted: str) -> str:
    return dotted.partition(".")[0]


def chains(nodes: list[ast.AST]) -> Iterator[str]:
    """The longest dotted chains below some nodes."""
    stack = list(nodes)
    while stack:
        node = stack.pop()
        dotted = chain(node) if isinstance(node, ast.Name | ast.Attribute) else ""
        if dotted:
            yield dotted
        else:
            stack.extend(ast.iter_child_nodes(node))


def never_runs(node: ast.AST) -> bool:
    """True for ``if __name__ == "__main__":``, which an import does not enter."""
    test = node.test if isinstance(node, ast.If) else None
    if not isinstance(test, ast.Compare) or chain(test.left) != "__name__" or not isinstance(test.ops[0], ast.Eq):
        return False
    return [getattr(value, "value", None) for value in test.comparators] == ["__main__"]


def at_import(statements: list[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported; bodies of functions do not, those of classes and lambdas do."""
    stack: list[ast.AST] = list(reversed(statements))
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(_children_at_import(node)))


def _children_at_import(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, _FUNCTIONS):
        outside = [node.args, *([node.returns] if node.returns else [])]
        return [*node.decorator_list, *outside]
    if never_runs(node):
        return list(node.orelse) if isinstance(node, ast.If) else []
    return list(ast.iter_child_nodes(node))


def at_module_level(statements: list[ast.stmt]) -> Iterator[ast.AST]:
    """As ``at_import``, without what is inside of classes."""
    stack: list[ast.AST] = list(reversed(statements))
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, ast.ClassDef):
            stack.extend(reversed(_children_at_import(node)))


def bound_names(nodes: Iterable[ast.AST]) -> set[str]:
    """Names that these nodes bind by assignment, definition, loop, parameter or handler."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar | ast.FunctionDef | ast.ClassDef):
            names.add(node.name or "")
        elif isinstance(node, ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.MatchMapping):
            names.add(node.rest or "")
    return names
