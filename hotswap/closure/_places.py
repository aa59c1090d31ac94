"""How a module reaches the files of its own package, and whether it says which of them it reads.

A *place* is an expression for somewhere in the package: ``__file__``, its folder, a path below it. It is settled once
a constant names the file. Places are followed through paths made from them and through names; where one goes any
other way, or the name is computed, nobody can tell which file is read.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from hotswap.closure._facts import Reading
from hotswap.closure._known import OPENERS
from hotswap.closure._scope import Scope
from hotswap.closure._walk import chain

_FILES = frozenset({"__file__", "co_filename"})
_FOLDERS = frozenset({"__path__"})
_TELLING_FILES = frozenset({"getfile", "getsourcefile", "getabsfile", "extract_stack"})
_RESOURCES = frozenset({"get_data", "contents", "as_file", "read_binary", "open_binary", "open_text"})
_SAME = frozenset({"resolve", "absolute", "expanduser", "abspath", "realpath", "Path", "PurePath", "fspath", "str"})
_ABOVE = frozenset({"parent", "parents", "dirname"})
_BELOW = frozenset({"joinpath", "join", "with_name"})
_BESIDE = frozenset({"with_suffix", "with_stem", "splitext"})
_STEPS = _SAME | _ABOVE | _BELOW | _BESIDE
_CLIMBS = frozenset({"parent", "parents", "with_name", "with_suffix", "with_stem"})
_PARTS = frozenset({"name", "stem", "suffix", "suffixes"})
_LISTS = frozenset({"iterdir", "glob", "iglob", "rglob", "listdir", "scandir", "walk"})
_FINDS_MODULES = frozenset({"iter_modules", "find_loader", "get_loader", "contents"})
_RUN = ("subprocess.", "shutil.", "filecmp.", "tarfile.", "compileall.", "os.popen", "os.system", "os.exec", "os.spawn")
_BY_PATTERN = frozenset({"glob", "iglob", "rglob"})
_TEXT_METHODS = frozenset(
    {"replace", "removesuffix", "rsplit", "split", "partition", "rpartition", "format", "as_posix"}
)
_METADATA = ("importlib.metadata", "importlib_metadata")
_NOWHERE = frozenset({"", ".", ".."})


@dataclass
class Places:
    """What one module does with places; ``names`` hold places, ``settled`` imported chains lead to such names only."""

    nodes: list[ast.AST]
    scope: Scope
    reads: set[Reading] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    settled: dict[str, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._parents = {id(child): node for node in self.nodes for child in ast.iter_child_nodes(node)}
        self._values = bindings(self.nodes)
        self._loads = defaultdict[str, list[ast.Name]](list)
        self._in_class = _class_level(self.nodes)
        for node in self.nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self._loads[node.id].append(node)

    def read(self) -> None:
        """Find all of it."""
        for node in self.nodes:
            self._source(node)
            if isinstance(node, ast.Call):
                self._call(node)
        self._imported()
        imported = (entry for entries in self.scope.imports.values() for entry in entries if entry.level == 0)
        if any(entry.dotted.startswith(_METADATA) for entry in imported):
            self.reads.add("metadata")

    def _source(self, node: ast.AST) -> None:
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str) and node.value in _FILES | _FOLDERS:
                self.reads |= {"location", "data", "sources"}
            return
        if not isinstance(node, ast.Name | ast.Attribute):
            return
        last = self._word(node)
        if last in _FINDS_MODULES:
            self.reads |= {"location", "names"}
        elif last in _LISTS and not self._is_called(node):
            self.reads.add("listing")
        if last in _FILES:
            self._start(node, "own" if isinstance(node, ast.Name) else "sources")
        elif last in _FOLDERS:
            self._start(node, "data")
        elif last in _RESOURCES or self.scope.full_name(chain(node)) == "sys.path":
            self.reads |= {"location", "data"}
        elif last in _CLIMBS and isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            self._climb(node)

    def _call(self, node: ast.Call) -> None:
        last = self._word(node.func)
        if last == "files":
            self._start(node, "data")
        elif last in _TELLING_FILES:
            self._start(node, "sources")
        elif self._reworks(node, last):
            self._climb(node)
        if last in OPENERS and self._opens_undecided(node):
            self.reads.add("data")
        if last in _LISTS:
            self._list(node)
        if self._asks_resource(node):
            named = all(isinstance(part, ast.Constant) for part in node.args)
            self.reads |= {"location"} if named else {"location", "data"}

    def _word(self, node: ast.AST) -> str:
        """The last part of what a name stands for, whatever an import calls it here."""
        return self.scope.full_name(chain(node)).rpartition(".")[2] or _last(node)

    def _is_called(self, node: ast.AST) -> bool:
        parent = self._parents.get(id(node))
        return isinstance(parent, ast.Call) and parent.func is node

    def _reworks(self, call: ast.Call, last: str) -> bool:
        """True for a call that makes another path of one it may have been given."""
        if last in {"dirname", "splitext"} or self.scope.full_name(chain(call.func)) == "os.path.split":
            return bool(call.args)
        if last not in {"replace", "removesuffix"} or not isinstance(call.func, ast.Attribute) or not call.args:
            return False
        text, old = call.func.value, call.args[0]
        known = isinstance(old, ast.Constant) and not any(
            letter.isalnum() or letter == "/" for letter in str(old.value)
        )
        return isinstance(text, ast.Call) and _last(text.func) in {"str", "fspath", "as_posix"} and not known

    def _runs(self, node: ast.AST | None) -> bool:
        """True where a whole folder may be handed to another program, or copied."""
        while node is not None and not isinstance(node, ast.stmt):
            if isinstance(node, ast.Call) and self.scope.full_name(chain(node.func)).startswith(_RUN):
                return True
            node = self._parents.get(id(node))
        return False

    def _asks_resource(self, node: ast.Call) -> bool:
        full = self.scope.full_name(chain(node.func))
        return full.startswith("importlib.resources.") and not full.endswith(".files")

    def _list(self, call: ast.Call) -> None:
        """Listing a folder tells the names of what is in it; a constant pattern says which."""
        last = self._word(call.func)
        if last in _BY_PATTERN:
            self.reads.add("patterns" if call.args and self._decided(call.args[0]) else "listing")
        else:
            base = [call.func.value] if isinstance(call.func, ast.Attribute) else []
            self.reads.add("folders" if any(self._decided(part) for part in (*call.args[:1], *base)) else "listing")

    def _start(self, node: ast.AST, kind: Reading) -> None:
        """Follow a place from where it comes from, with all names that hold it."""
        unsettled, names = self._trace([node], kind)
        self.reads |= {"location", *unsettled}
        self.names |= names

    def _trace(self, starts: list[ast.AST], kind: Reading) -> tuple[set[Reading], set[str]]:
        """What places that do not settle may read, and the names that hold them."""
        unsettled: set[Reading] = set()
        names: set[str] = set()
        waiting = [(start, kind) for start in starts]
        while waiting:
            ended, kind, bound = self._follow(*waiting.pop())
            if not ended:
                unsettled |= {"data", kind}
            if bound and kind != "data":
                self.reads.add("file")
            waiting.extend((load, kind) for name in bound - names for load in self._loads[name])
            names |= bound
        return unsettled, names

    def _climb(self, node: ast.AST) -> None:
        """A path made from one that may be given from elsewhere."""
        if self._trace([node], "data")[0]:
            self.reads.add("climbs")

    def _imported(self) -> None:
        """The imported chains that would be settled if they were places."""
        uses = defaultdict[str, list[ast.AST]](list)
        for name in self.scope.imports:
            for load in self._loads.get(name, ()):
                uses[chain(self._longest(load))].append(self._before_steps(load))
        for dotted, starts in uses.items():
            unsettled, names = self._trace(starts, "data")
            if not unsettled:
                self.settled[dotted] = frozenset(names)

    def _longest(self, node: ast.AST) -> ast.AST:
        while isinstance(parent := self._parents.get(id(node)), ast.Attribute):
            node = parent
        return node

    def _before_steps(self, node: ast.AST) -> ast.AST:
        """``tool.HERE`` of ``tool.HERE.parent``: what the attributes of the path follow."""
        while isinstance(parent := self._parents.get(id(node)), ast.Attribute) and parent.attr not in _STEPS | _PARTS:
            node = parent
        return node

    def _follow(self, node: ast.AST, kind: Reading) -> tuple[bool, Reading, set[str]]:
        """Whether a place ends well, what it is then or would read, and the names that it is bound to."""
        current = node
        while (parent := self._parents.get(id(current))) is not None:
            if isinstance(parent, ast.Assign | ast.AnnAssign | ast.NamedExpr):
                names = _targets(parent)
                return bool(names) and not names & self._in_class, kind, names
            if isinstance(parent, ast.Expr) or _takes_part(parent) or self._lists_pattern(parent, current):
                return True, kind, set()
            if not _is_step(parent, current):
                return False, "sources" if self._runs(parent) else _read_by(parent, kind), set()
            if self._decided(parent) and not self._goes_on(parent):
                return not self._reshaped(self._parents.get(id(parent))), "data", set()
            kind = "data" if _moves(parent) else kind
            current = parent
        return False, kind, set()

    def _lists_pattern(self, parent: ast.AST, current: ast.AST) -> bool:
        """True for ``HERE.glob`` called with a constant."""
        if not isinstance(parent, ast.Attribute) or parent.attr not in _BY_PATTERN or parent.value is not current:
            return False
        call = self._parents.get(id(parent))
        return isinstance(call, ast.Call) and bool(call.args) and self._decided(call.args[0])

    def _goes_on(self, node: ast.AST) -> bool:
        """True when a path that names a file is taken further, to its folder or to one beside it."""
        parent = self._parents.get(id(node))
        if isinstance(parent, ast.Attribute):
            return parent.attr in _CLIMBS | _TEXT_METHODS | {"joinpath"}
        if isinstance(parent, ast.Call) and _last(parent.func) in _STEPS and node in parent.args:
            return _last(parent.func) not in _SAME or self._goes_on(parent)
        return isinstance(parent, ast.BinOp) or _names_file(self._parents.get(id(parent)), parent)

    def _reshaped(self, node: ast.AST | None) -> bool:
        """True when a name for a file is text, somewhere, that names of other files are made from."""
        names = _targets(node) if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) else set()
        return any(self._text_goes_on(load) for name in names for load in self._loads[name])

    def _text_goes_on(self, node: ast.AST) -> bool:
        parent = self._parents.get(id(node))
        if isinstance(parent, ast.BinOp):
            return not isinstance(parent.op, ast.Div)
        if isinstance(parent, ast.Attribute):
            return parent.attr in _TEXT_METHODS
        if isinstance(parent, ast.Call):
            return _last(parent.func) in _SAME and self._text_goes_on(parent)
        return _names_file(self._parents.get(id(parent)), parent)

    def _opens_undecided(self, call: ast.Call) -> bool:
        function = call.func
        if isinstance(function, ast.Attribute) and self._decided(function.value):
            return False
        if not call.args and not call.keywords and _last(function) == "open":
            return False  # a port or a door is opened, not a file
        return not (call.args and self._decided(call.args[0])) and not _writes(call)

    def _decided(self, node: ast.AST, depth: int = 0) -> bool:
        """True when a constant is the last component of a path."""
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str) and node.value.rstrip("/").rpartition("/")[2] not in _NOWHERE
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            return self._decided(node.right, depth)
        if isinstance(node, ast.Name):
            values = self._values.get(node.id, [])
            return depth < 5 and bool(values) and all(v and self._decided(v, depth + 1) for v in values)
        if isinstance(node, ast.Call):
            return self._decided_call(node, depth)
        return False

    def _decided_call(self, node: ast.Call, depth: int) -> bool:
        function, name = node.func, _last(node.func)
        if name in _BELOW:
            return bool(node.args) and self._decided(node.args[-1], depth)
        if name in _SAME and node.args:
            return self._decided(node.args[-1], depth)
        return name in _SAME and isinstance(function, ast.Attribute) and self._decided(function.value, depth)


def _last(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else chain(node)


def _targets(parent: ast.Assign | ast.AnnAssign | ast.NamedExpr) -> set[str]:
    """The names that are bound; none when anything else is bound too."""
    targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    return names if len(names) == len(targets) else set()


def _class_level(nodes: Iterable[ast.AST]) -> set[str]:
    """Names that a class body binds: its objects and subclasses have them too."""
    bodies = (part for node in nodes if isinstance(node, ast.ClassDef) for part in node.body)
    return {name for part in bodies if isinstance(part, ast.Assign | ast.AnnAssign) for name in _targets(part)}


def _is_step(parent: ast.AST, child: ast.AST) -> bool:
    """True when ``parent`` is a path made from ``child``."""
    if isinstance(parent, ast.Attribute):
        return parent.attr in _STEPS
    if isinstance(parent, ast.Subscript):
        return parent.value is child
    if isinstance(parent, ast.BinOp):
        return isinstance(parent.op, ast.Div) and parent.left is child
    return isinstance(parent, ast.Call) and _last(parent.func) in _STEPS


def _takes_part(parent: ast.AST) -> bool:
    """True for a part of a path that names no file by itself."""
    if isinstance(parent, ast.Call):
        return _last(parent.func) == "basename"
    return isinstance(parent, ast.Attribute) and parent.attr in _PARTS


def _read_by(user: ast.AST, kind: Reading) -> Reading:
    """What is read of a source that is opened where it stands, or, given to others, turned into the name of another."""
    name = _last(user.func) if isinstance(user, ast.Call) else getattr(user, "attr", "")
    return "sources" if kind == "own" and name not in OPENERS else kind


def _moves(step: ast.AST) -> bool:
    """True for a step away from a file, so that what follows is another."""
    if isinstance(step, ast.BinOp):
        return True
    name = _last(step.func) if isinstance(step, ast.Call) else getattr(step, "attr", "")
    return name in _ABOVE | _BELOW | _BESIDE


def _names_file(text: ast.AST | None, part: ast.AST | None) -> bool:
    """True for ``f"{path}.bak"``; text with blanks is a message."""
    if not isinstance(part, ast.FormattedValue) or not isinstance(text, ast.JoinedStr):
        return False
    constants = [str(value.value) for value in text.values if isinstance(value, ast.Constant)]
    return bool(constants) and not any(set(constant) & set(" \n\t") for constant in constants)


def bindings(nodes: list[ast.AST]) -> dict[str, list[ast.AST | None]]:
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
