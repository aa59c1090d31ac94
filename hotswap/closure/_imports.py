"""The import statements of a module."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from hotswap.closure._facts import Import
from hotswap.closure._walk import chain, root


def imports_of(tree: ast.Module) -> tuple[Import, ...]:
    """Every import that can run, also inside functions."""
    return tuple(_below(tree.body, eager=True))


def _below(nodes: Iterable[ast.AST], *, eager: bool, certain: bool = True) -> Iterator[Import]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from _plain(node, eager=eager, certain=certain)
        elif isinstance(node, ast.ImportFrom):
            yield from _from(node, eager=eager, certain=certain)
        elif isinstance(node, ast.Call):
            yield from _by_text(node, eager=eager)
            yield from _below(ast.iter_child_nodes(node), eager=eager, certain=False)
        else:
            inner = eager and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _below(ast.iter_child_nodes(node), eager=inner, certain=False)


def _plain(node: ast.Import, *, eager: bool, certain: bool) -> Iterator[Import]:
    for alias in node.names:
        yield Import(alias.name, 0, "", alias.asname or "", eager, certain)
        if not alias.asname:
            yield Import(root(alias.name), 0, "", root(alias.name), eager, certain)


def _from(node: ast.ImportFrom, *, eager: bool, certain: bool) -> Iterator[Import]:
    for alias in node.names:
        yield Import(node.module or "", node.level, alias.name, alias.asname or alias.name, eager, certain)


def _by_text(node: ast.Call, *, eager: bool) -> Iterator[Import]:
    text = literal_import(node)
    if text:
        yield Import(text, 0, "", "?", eager)


def literal_import(node: ast.AST) -> str:
    """The module that ``import_module("a.b")`` names; empty for any other node."""
    if not isinstance(node, ast.Call) or len(node.args) != 1 or node.keywords:
        return ""
    called, argument = chain(node.func), node.args[0]
    known = called in {"import_module", "importlib.import_module"}
    if known and isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return "" if argument.value.startswith(".") else argument.value
    return ""
