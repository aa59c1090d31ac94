"""Which data files code may read."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from hotswap.closure._known import OPENERS
from hotswap.closure._walk import chain

_LOCATIONS = frozenset({"__file__", "__path__"})
_RESOURCES = frozenset({"get_data", "contents", "as_file", "read_binary", "open_binary", "open_text"})
_PATH_STEPS = frozenset(
    {"resolve", "absolute", "expanduser", "dirname", "abspath", "realpath", "Path", "fspath", "str"}
)
_PATH_ENDS = frozenset({"joinpath", "join", "with_name"})


def named_files(strings: Iterable[str], data: Mapping[str, str]) -> set[str]:
    """Data files that a string names: by file name, by the end of a path, by a directory, or by a pattern."""
    wanted = {text.strip("/").removeprefix("./") for text in strings}
    plain = {text for text in wanted if text and not set("*?[") & set(text)}
    patterns = [text for text in wanted - plain if text]
    return {path for path in data if not plain.isdisjoint(_ends(path)) or _matches(path, patterns)}


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
    bound = _bindings(nodes)
    return [(name, values[0]) for name, values in bound.items() if len(values) == 1 and values[0] is not None]


def _loads(nodes: list[ast.AST], name: str) -> set[int]:
    named = (node for node in nodes if isinstance(node, ast.Name) and node.id == name)
    return {id(node) for node in named if isinstance(node.ctx, ast.Load)}


def opens_unknown(tree: ast.Module, nodes: list[ast.AST]) -> bool:
    """True when the module may read files whose names cannot be told from its strings."""
    return _Paths(tree, nodes).unknown()


class _Paths:
    """A path is *decided* when its last component is a constant string."""

    def __init__(self, tree: ast.Module, nodes: list[ast.AST]) -> None:
        self._tree = tree
        self._nodes = nodes
        self._values = _bindings(nodes)

    def unknown(self) -> bool:
        for node in self._nodes:
            if isinstance(node, ast.Name | ast.Attribute) and chain(node).rpartition(".")[2] in _RESOURCES:
                return True
            if isinstance(node, ast.Attribute) and node.attr in _LOCATIONS:
                return True
            if isinstance(node, ast.Constant) and node.value in _LOCATIONS:
                return True
            if isinstance(node, ast.Call) and self._opens_undecided(node):
                return True
        return self._location_escapes()

    def _opens_undecided(self, call: ast.Call) -> bool:
        function = call.func
        name = function.attr if isinstance(function, ast.Attribute) else chain(function)
        if name not in OPENERS:
            return False
        if isinstance(function, ast.Attribute) and self._decided(function.value):
            return False
        if not call.args and not call.keywords and name == "open":
            return False  # a port or a door is opened, not a file
        return not (call.args and self._decided(call.args[0])) and not _writes(call)

    def _decided(self, node: ast.AST, depth: int = 0) -> bool:
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            return self._decided(node.right, depth)
        if isinstance(node, ast.Name):
            values = self._values.get(node.id, [])
            return depth < 5 and bool(values) and all(v and self._decided(v, depth + 1) for v in values)
        if isinstance(node, ast.Call):
            return self._decided_call(node, depth)
        return False

    def _decided_call(self, node: ast.Call, depth: int) -> bool:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else chain(function)
        if name in _PATH_ENDS:
            return bool(node.args) and self._decided(node.args[-1], depth)
        if name in _PATH_STEPS and node.args:
            return self._decided(node.args[-1], depth)
        return name in _PATH_STEPS and isinstance(function, ast.Attribute) and self._decided(function.value, depth)

    def _location_escapes(self) -> bool:
        """True when a path to the package's own directory is used for anything but naming one file by constants."""
        anchors = set(_LOCATIONS)
        parents = {id(child): node for node in self._nodes for child in ast.iter_child_nodes(node)}
        while True:
            before = set(anchors)
            for node in self._nodes:
                if _names_folder(node, anchors) and not self._settled(node, parents, anchors):
                    return True
            if anchors == before:
                return False

    def _settled(self, node: ast.AST, parents: dict[int, ast.AST], anchors: set[str]) -> bool:
        current: ast.AST = node
        while (parent := parents.get(id(current))) is not None:
            if not isinstance(parent, ast.Assign | ast.AnnAssign):
                if not _path_step(parent, current):
                    return False
                if self._decided(parent) and not _climbs(parents.get(id(parent))):
                    return True
                current = parent
                continue
            targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            anchors.update(names)
            return len(names) == len(targets)
        return False


def _names_folder(node: ast.AST, anchors: set[str]) -> bool:
    """True for a name of the package's folder, and for ``importlib.resources.files(...)``."""
    if isinstance(node, ast.Call):
        return _last(node.func) == "files"
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in anchors


def _path_step(parent: ast.AST, child: ast.AST) -> bool:
    """True when ``parent`` is a path made from ``child``."""
    if isinstance(parent, ast.Attribute):
        return parent.attr in {"parent", "parents"} | _PATH_STEPS | _PATH_ENDS
    if isinstance(parent, ast.Subscript):
        return parent.value is child
    if isinstance(parent, ast.BinOp):
        return isinstance(parent.op, ast.Div) and parent.left is child
    if not isinstance(parent, ast.Call):
        return False
    called = parent.func.attr if isinstance(parent.func, ast.Attribute) else chain(parent.func)
    return called in _PATH_STEPS | _PATH_ENDS


def _climbs(node: ast.AST | None) -> bool:
    """True when a path that names a file is taken further: to its directory, or to one beside it."""
    if isinstance(node, ast.Attribute):
        return node.attr in {"parent", "parents", "with_name", "with_suffix", "with_stem", "joinpath", "iterdir"}
    return isinstance(node, ast.BinOp)


def _bindings(nodes: list[ast.AST]) -> dict[str, list[ast.AST | None]]:
    """The values bound to each name anywhere in the module; None for a value that is not written there."""
    found: dict[str, list[ast.AST | None]] = {}
    assigned: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            assigned.add(id(node.targets[0]))
            found.setdefault(node.targets[0].id, []).append(node.value)
        elif isinstance(node, ast.arg):
            found.setdefault(node.arg, []).append(None)
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in assigned:
            found.setdefault(node.id, []).append(None)
    return found


def _writes(call: ast.Call) -> bool:
    modes = [*call.args[1:2], *(key.value for key in call.keywords if key.arg == "mode")]
    texts = [mode.value for mode in modes if isinstance(mode, ast.Constant)]
    return any(isinstance(text, str) and set(text) & set("wax") and "+" not in text for text in texts)
