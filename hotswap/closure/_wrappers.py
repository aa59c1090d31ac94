"""Functions that functions make: what runs only once the result of a call is called in turn."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef


def by_depth(function: Function, pure: Callable[[ast.expr], bool]) -> list[list[ast.AST]]:
    """The nodes that run when a function is called, when its result is called, and so on.

    An inner function waits for that call when it is only returned, and its decorators are ``pure``.
    """
    inner = _returned_only(function, pure)
    bodies = {id(statement) for each in inner for statement in each.body}
    levels = [list(_outside(function.body, bodies))]
    for each in inner:
        for depth, nodes in enumerate(by_depth(each, pure), start=1):
            levels += [[] for _ in range(depth + 1 - len(levels))]
            levels[depth] += nodes
    return levels


def _returned_only(function: Function, pure: Callable[[ast.expr], bool]) -> list[Function]:
    nodes = list(_outside(function.body, set()))
    returned = {id(node.value) for node in nodes if isinstance(node, ast.Return)}
    used = {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in returned}
    made = [node for node in nodes if isinstance(node, Function) and node.name not in used]
    within = {id(part) for each in made for part in ast.walk(each) if part is not each}
    return [each for each in made if id(each) not in within and all(map(pure, each.decorator_list))]


def _outside(body: list[ast.stmt], left_out: set[int]) -> Iterator[ast.AST]:
    """Statements and all below them but those left out, parents first."""
    waiting: list[ast.AST] = [*body]
    for node in waiting:
        if id(node) not in left_out:
            yield node
            waiting.extend(ast.iter_child_nodes(node))
