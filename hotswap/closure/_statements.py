"""Which statements of a module changed, in words."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from hotswap.closure._facts import Detail
from hotswap.closure._parse import strip_text_statements, without_registering


@dataclass(frozen=True)
class _Statement:
    line: int
    text: str


def changes(before: bytes | None, after: bytes | None, registration: frozenset[str], detail: Detail) -> tuple[str, ...]:
    """What is different in a module: ``function to_kelvin changed, line 12``; lines are those of the newer text.

    None stands for a module that is not there.
    """
    if before is None or after is None:
        return ("this file is new",) if before is None else ("this file is gone",)
    old, new = _statements(before, registration, detail), _statements(after, registration, detail)
    if old is None or new is None:
        return ("its bytes changed; it cannot be parsed",)
    told = tuple(text for _, text in sorted(_differences(old, new)))
    if told:
        return told
    return ("its lines moved, and something reads them",) if detail is Detail.TEXT else ("its statements moved",)


def _differences(old: dict[str, list[_Statement]], new: dict[str, list[_Statement]]) -> Iterator[tuple[int, str]]:
    for name in old.keys() | new.keys():
        before, after = old.get(name, []), new.get(name, [])
        known = [each.text for each in before]
        first = next((each for each in after if each.text not in known), None)
        if not before:
            yield after[0].line, f"{name} added, line {after[0].line}"
        elif not after:
            yield before[0].line, f"{name} removed, line {before[0].line} before"
        elif first is not None or len(before) != len(after):
            line = (first or after[0]).line
            yield line, f"{name} changed, line {line}"


def _statements(content: bytes, registration: frozenset[str], detail: Detail) -> dict[str, list[_Statement]] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    tree = without_registering(tree, registration)
    if detail is Detail.CODE:
        strip_text_statements(tree)
    found: dict[str, list[_Statement]] = {}
    for name, node in _named(tree.body, ""):
        text = "".join(map(ast.dump, _header(node)))
        found.setdefault(name, []).append(_Statement(getattr(node, "lineno", 0), text))
    return found


def _named(body: list[ast.stmt], owner: str) -> Iterator[tuple[str, ast.stmt]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield f"class {owner}{node.name}", node
            yield from _named(node.body, f"{owner}{node.name}.")
        else:
            yield _name(node, owner), node


def _name(node: ast.stmt, owner: str) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return f"{'method' if owner else 'function'} {owner}{node.name}"
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        kind = (
            "attribute"
            if owner
            else "variable"
            if all(isinstance(each, ast.Name) for each in targets)
            else "assignment to"
        )
        return f"{kind} {owner}{', '.join(map(ast.unparse, targets))}"
    if isinstance(node, ast.Import | ast.ImportFrom):
        return f"import of {', '.join(alias.asname or alias.name for alias in node.names)}"
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return f"docstring of {owner.rstrip('.') or 'the module'}"
    return f"statement in {owner.rstrip('.')}" if owner else "statement"


def _header(node: ast.stmt) -> list[ast.AST]:
    """A class without its body, whose statements are told by themselves."""
    if isinstance(node, ast.ClassDef):
        return [*node.bases, *node.keywords, *node.decorator_list]
    return [node]
