"""Which data files code may read."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from hotswap.closure._places import bindings
from hotswap.closure._walk import chain

_SOURCES = (".py", ".pyi")


def named_files(strings: Iterable[str], data: Mapping[str, str]) -> set[str]:
    """Data files that a string names: by file name, by the end of a path, by a directory, or by a pattern."""
    wanted = {text.strip("/").removeprefix("./") for text in strings}
    plain = {text for text in wanted if text and not set("*?[") & set(text)}
    patterns = [text for text in wanted - plain if text]
    return {path for path in data if not plain.isdisjoint(_ends(path)) or _matches(path, patterns)}


def is_source(path: str) -> bool:
    """True for a file whose text only counts when it is read as data: what it means counts as a module."""
    return path.endswith(_SOURCES)


def named_sources(strings: Iterable[str], sources: Iterable[str], *, patterns: bool, folders: bool) -> set[str]:
    """Sources that a string names: by the end of the path, and by a pattern or a folder where these are listed."""
    wanted = {text.strip("/").removeprefix("./") for text in strings}
    globs = {text for text in wanted if set("*?[") & set(text)}
    ends = tuple(text for text in wanted - globs if text.endswith(_SOURCES) or text == "py")
    found = {path for path in sources if ends and path.endswith(ends)}
    if patterns:
        found |= {path for path in sources if _matches(path, globs)}
    if folders:
        found |= {path for path in sources if not wanted.isdisjoint(_ends(str(PurePosixPath(path).parent)))}
    return found


def _ends(path: str) -> set[str]:
    """All runs of whole components of a path: its name, its directories, and every relative path to them."""
    parts = PurePosixPath(path).parts
    count = len(parts)
    return {"/".join(parts[start:end]) for start in range(count) for end in range(start + 1, count + 1)} | {
        PurePosixPath(path).stem
    }


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(_match(path, pattern) for pattern in patterns)


def _match(path: str, pattern: str) -> bool:
    try:
        return PurePosixPath(path).match(pattern.replace("**/", ""))
    except ValueError:
        return False


def folder_names(nodes: list[ast.AST]) -> set[int]:
    """Ids of constants that only name a folder on the way to a file, as ``"data"`` in ``HERE / "data" / "a.csv"``.

    So do the package in ``files("my_lab") / "a.csv"``, and the name of a logger, which names no file at all.
    """
    joins = [node for node in nodes if isinstance(node, ast.BinOp) and _ends_in_text(node)]
    inner = {id(join.left) for join in joins}
    folders = ((value, _loads(nodes, name)) for name, value in _bound_once(nodes) if value in joins)
    inner |= {id(value) for value, loads in folders if loads and loads <= inner}
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    roots = [call for call in calls if _last(call.func) == ("files" if id(call) in inner else "getLogger")]
    return {id(join.right) for join in joins if id(join) in inner} | {id(part) for call in roots for part in call.args}


def _last(function: ast.expr) -> str:
    return chain(function).rpartition(".")[2]


def _ends_in_text(node: ast.BinOp) -> bool:
    right = node.right
    return isinstance(node.op, ast.Div) and isinstance(right, ast.Constant) and isinstance(right.value, str)


def _bound_once(nodes: list[ast.AST]) -> list[tuple[str, ast.AST]]:
    bound = bindings(nodes)
    return [(name, values[0]) for name, values in bound.items() if len(values) == 1 and values[0] is not None]


def _loads(nodes: list[ast.AST], name: str) -> set[int]:
    named = (node for node in nodes if isinstance(node, ast.Name) and node.id == name)
    return {id(node) for node in named if isinstance(node.ctx, ast.Load)}
