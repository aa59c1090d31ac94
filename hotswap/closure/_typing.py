"""Code that only type checkers read."""

from __future__ import annotations

import ast

from hotswap.closure._imports import imports_of
from hotswap.closure._walk import bound_names, chain, root

_NAME = "TYPE_CHECKING"
_MODULES = frozenset({"typing", "typing_extensions"})


def without_type_checking(tree: ast.Module) -> None:
    """Take what stands below ``if TYPE_CHECKING:`` out of a tree, where the name is that of ``typing`` and no other."""
    mentioned = any(_NAME in (getattr(node, "attr", ""), getattr(node, "name", "")) for node in ast.walk(tree))
    names = _names(tree) if mentioned else set()
    if names:
        for node in ast.walk(tree):
            for key in ("body", "orelse", "finalbody"):
                block = getattr(node, key, None)
                if isinstance(block, list) and any(_unread(part, names) for part in block):
                    setattr(node, key, _without(block, names) or [ast.Pass()] * (key == "body"))


def _without(block: list[ast.stmt], names: set[str]) -> list[ast.stmt]:
    kept: list[ast.stmt] = []
    for part in block:
        kept += _without(part.orelse, names) if isinstance(part, ast.If) and _unread(part, names) else [part]
    return kept


def _unread(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.If) and chain(node.test) in names


def _names(tree: ast.Module) -> set[str]:
    """The chains that mean ``typing.TYPE_CHECKING`` wherever they stand."""
    found: dict[str, set[str]] = {}
    for entry in imports_of(tree):
        from_typing = entry.level == 0 and entry.module in _MODULES
        means = _NAME if from_typing and entry.name == _NAME else "typing" if from_typing and not entry.name else ""
        found.setdefault(entry.bound, set()).add(means)
    own = bound_names(ast.walk(tree))
    plain = {name for name, means in found.items() if means == {_NAME}}
    dotted = {f"{name}.{_NAME}" for name, means in found.items() if means == {"typing"}}
    stored = {
        chain(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == _NAME and not isinstance(node.ctx, ast.Load)
    }
    return {name for name in plain | dotted if root(name) not in own} - stored
