"""What executed code does besides making values."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hotswap.closure._facts import Effect, Kind
from hotswap.closure._imports import literal_import
from hotswap.closure._known import (
    CONTAINER_METHODS,
    DYNAMIC_ATTRIBUTES,
    DYNAMIC_BUILTINS,
    DYNAMIC_NAMES,
    HARMLESS_METHODS,
    PURE_BUILTINS,
    dynamic_import,
    pure,
)
from hotswap.closure._scope import Scope
from hotswap.closure._walk import chain, root

_FRESH = (ast.Dict, ast.List, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.Constant)
_TEXT = (ast.Constant, ast.JoinedStr)
_PERMITTED_DYNAMIC = frozenset({"importlib.import_module", "import_module"})


@dataclass
class Executed:
    """Reads the effects of nodes that run together.

    ``local`` are the names the code binds itself (empty at module level), ``fresh`` those of them that only ever hold
    new containers, ``everything`` all module-level names the code mentions: what a local name may stand for.
    """

    scope: Scope
    local: frozenset[str] = frozenset()
    fresh: frozenset[str] = frozenset()
    everything: frozenset[str] = frozenset()
    found: list[Effect] = field(default_factory=list)
    _statements: set[int] = field(default_factory=set)
    _excused: set[int] = field(default_factory=set)
    _decorators: set[int] = field(default_factory=set)

    def read(self, nodes: Iterable[ast.AST]) -> tuple[Effect, ...]:
        for node in nodes:
            self._excuse(node)
            self._node(node)
        return tuple(dict.fromkeys(self.found))

    def _excuse(self, node: ast.AST) -> None:
        """An import by text whose result nobody uses only imports."""
        if isinstance(node, ast.Expr):
            self._statements.add(id(node.value))
            if _imports_only(node.value):
                self._excused.update(id(part) for part in ast.walk(node.value))
        elif literal_import(node):
            self._excused.update(id(part) for part in ast.walk(node))

    def _node(self, node: ast.AST) -> None:
        if id(node) in self._excused:
            return
        if is_dynamic(node, self.scope):
            self._add("dynamic", node)
        elif isinstance(node, ast.Call):
            if id(node) not in self._decorators:
                self._call(node)
        elif isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            self._store(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self._definition(node)
        else:
            self._statement(node)

    def _statement(self, node: ast.AST) -> None:
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            if node.target.id in self.scope.imports and node.target.id not in self.local:
                self._add("store", node, names=self.scope.names_in(node.target))
        elif isinstance(node, ast.Global | ast.Nonlocal):
            self._add("store", node, names=frozenset(filter(self.scope.binds, node.names)))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.BinOp | ast.Compare):
            self._add("call", node, names=self._reach(node), value=False)

    def _call(self, node: ast.Call) -> None:
        called = chain(node.func)
        value = id(node) not in self._statements
        if self._harmless(node, called):
            return
        known = called if self.scope.binds(root(called)) and root(called) not in self.local else ""
        self._add("call", node, callee=known, names=self._reach(node), value=value)

    def _harmless(self, node: ast.Call, called: str) -> bool:
        first = root(called)
        if self.scope.registers(node):
            return True
        if first and first not in self.local:
            if self.scope.is_builtin(first):
                return called in PURE_BUILTINS and not any(key.arg == "key" for key in node.keywords)
            if pure(self.scope.full_name(called)):
                return True
        return isinstance(node.func, ast.Attribute) and self._harmless_method(node.func)

    def _harmless_method(self, function: ast.Attribute) -> bool:
        receiver, method = function.value, function.attr
        owner = root(chain(receiver))
        if owner == "self" and "self" in self.local and isinstance(receiver, ast.Name):
            return True  # methods of one's own class are read with the class
        if isinstance(receiver, ast.Call) and chain(receiver.func) == "super":
            return True  # so are those of its bases
        if isinstance(receiver, _TEXT) or owner in self.fresh:
            return method in HARMLESS_METHODS | CONTAINER_METHODS
        if owner in self.scope.imports and owner not in self.local:
            return False
        return method in HARMLESS_METHODS and not self.scope.names_in(*_calls_below(receiver))

    def _store(self, node: ast.Attribute | ast.Subscript) -> None:
        owner = node.value
        if isinstance(owner, ast.Name):
            if owner.id == "self" and isinstance(node, ast.Attribute) and "self" in self.local:
                return
            if owner.id in self.fresh:
                return
        dotted = chain(owner)
        if dotted and root(dotted) not in self.local:
            names = self.scope.names_in(owner)
            self._add("store", node, callee=dotted if names else "", names=names)
        else:
            self._add("store", node, names=self._reach(owner) | self.scope.names_in(owner))

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        for decorator in node.decorator_list:
            self._decorator(decorator, node.name)
        if isinstance(node, ast.ClassDef):
            self._bases(node)

    def _bases(self, node: ast.ClassDef) -> None:
        for base in node.bases:
            target = base.value if isinstance(base, ast.Subscript) else base
            if self.scope.names_in(target):
                self._add("subclass", target, callee=chain(target), names=self._reach(target))
        for keyword in node.keywords:
            if keyword.arg == "metaclass" and self.scope.names_in(keyword.value):
                self._add("call", keyword.value, callee=chain(keyword.value), names=self._reach(keyword.value))

    def _decorator(self, decorator: ast.expr, subject: str) -> None:
        self._decorators.add(id(decorator))
        called = chain(decorator.func if isinstance(decorator, ast.Call) else decorator)
        full = self.scope.full_name(called)
        if pure(full) or full in self.scope.registration:
            return
        if self.scope.is_builtin(called) and called in PURE_BUILTINS:
            return
        if called.endswith((".setter", ".getter", ".deleter")) and root(called) not in self.scope.imports:
            return
        owned = subject if self.scope.binds(subject) else ""
        self._add("decorate", decorator, callee=called, names=self._reach(decorator), subject=owned)

    def _reach(self, node: ast.AST) -> frozenset[str]:
        names = self.scope.used_in(node)
        if self.local and any(isinstance(part, ast.Name) and part.id in self.local for part in ast.walk(node)):
            return names | self.everything
        return names

    def _add(
        self,
        kind: Kind,
        node: ast.AST,
        *,
        callee: str = "",
        names: frozenset[str] = frozenset(),
        subject: str = "",
        value: bool = True,
    ) -> None:
        texts = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
        strings = frozenset(text for text in texts if isinstance(text, str))
        line = getattr(node, "lineno", 0)
        self.found.append(Effect(kind, line, callee, names, subject, value, strings))


def is_dynamic(node: ast.AST, scope: Scope) -> bool:
    """True for a use of something that reaches code by other ways than its name."""
    if isinstance(node, ast.Attribute) and node.attr in DYNAMIC_ATTRIBUTES:
        return True
    if isinstance(node, ast.Constant):
        return node.value in DYNAMIC_ATTRIBUTES if isinstance(node.value, str) else False
    if isinstance(node, ast.Name) and node.id in DYNAMIC_BUILTINS | DYNAMIC_NAMES:
        return not scope.binds(node.id)
    dotted = chain(node) if isinstance(node, ast.Name | ast.Attribute) else ""
    return bool(dotted) and dynamic_import(scope.full_name(dotted))


def fresh_names(nodes: Iterable[ast.AST]) -> frozenset[str]:
    """Names that these nodes bind to new containers and constants only."""
    fresh, other = set[str](), set[str]()
    plain = set[int]()
    for node in nodes:
        for name in _assigned(node):
            plain.add(id(name))
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            (fresh if isinstance(value, _FRESH) else other).add(name.id)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in plain:
            other.add(node.id)
        elif isinstance(node, ast.arg):
            other.add(node.arg)
    return frozenset(fresh - other)


def _assigned(node: ast.AST) -> Iterator[ast.Name]:
    if isinstance(node, ast.Assign):
        yield from (target for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target


def _imports_only(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and chain(node.func) in _PERMITTED_DYNAMIC


def _calls_below(node: ast.AST) -> list[ast.AST]:
    return [part for part in ast.walk(node) if isinstance(part, ast.Call)]
