"""What executed code does besides making values."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hotswap.closure._facts import Effect, Kind
from hotswap.closure._imports import literal_import
from hotswap.closure._known import (
    CONTAINER_METHODS,
    DYNAMIC_ATTRIBUTES,
    DYNAMIC_BUILTINS,
    DYNAMIC_NAMES,
    ENUMERATIONS,
    EVALUATING,
    HARMLESS_METHODS,
    KEEPING_FUNCTIONS,
    LOGGED_BY,
    LOGGING_METHODS,
    PURE_BUILTINS,
    SHARED_MAKERS,
    UFUNCS,
    UNUSED_BY,
    dynamic_import,
    pure,
)
from hotswap.closure._operators import ANY, ARITHMETIC, consuming, operations, unbound
from hotswap.closure._scope import Scope
from hotswap.closure._walk import bound_names, chain, root
from hotswap.closure._wrappers import Function

_FRESH = (ast.Dict, ast.List, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.Constant)
_TEXT = (ast.Constant, ast.JoinedStr)
_NEW = (*_FRESH, ast.BinOp, ast.UnaryOp, ast.Compare, ast.JoinedStr)
_MAKERS = frozenset({"int", "float", "str", "bool", "complex", "len", "sum", "abs", "round", "list", "dict", "set"})
_MEMBER_METHODS = frozenset({"__init__", "__new__", "__init_subclass__", "_generate_next_value_", "_missing_"})
_PERMITTED_DYNAMIC = frozenset({"importlib.import_module", "import_module"})

_IN_TYPES = frozenset({"__class_getitem__"})
_NO_OPERATION = Effect("operate", 0)


@dataclass
class Executed:
    """Reads the effects of nodes that run together.

    ``local`` are the names the code binds itself (empty at module level), ``fresh`` those of them that only ever hold
    new containers, ``new`` those that only hold results of its own, some of them ``computed`` by operators,
    ``everything`` all module-level names the code mentions: what a local name may stand for. ``own`` is the name of
    the object that methods work on.
    """

    scope: Scope
    local: frozenset[str] = frozenset()
    fresh: frozenset[str] = frozenset()
    new: frozenset[str] = frozenset()
    computed: frozenset[str] = frozenset()
    everything: frozenset[str] = frozenset()
    own: str = ""
    found: list[Effect] = field(default_factory=list)
    _statements: set[int] = field(default_factory=set)
    _excused: set[int] = field(default_factory=set)
    _decorators: set[int] = field(default_factory=set)
    _stored: dict[int, ast.expr] = field(default_factory=dict)
    _typing: set[int] = field(default_factory=set)
    _operated: Effect = _NO_OPERATION

    def read(self, nodes: Iterable[ast.AST]) -> tuple[Effect, ...]:
        for node in nodes:
            self._excuse(node)
            self._node(node)
        operated = [self._operated] if self._operated.methods or self._operated.consumed else []
        return tuple(dict.fromkeys((*self.found, *operated)))

    def decorators(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> tuple[Effect, ...]:
        """What calling a decorated definition runs beside its body."""
        for decorator in node.decorator_list:
            self._decorator(decorator, "")
        return tuple(self.found)

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
        self._operations(node)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            self._stored.update((id(part), node.value) for target in targets for part in ast.walk(target))
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
            if node.target.id not in self.new or node.target.id in self.computed:
                names = self._reach(node.target) | self.scope.names_in(node.target)
                arithmetic = ARITHMETIC if node.target.id in self.computed else frozenset[str]()
                self._add("store", node, names=names, methods=arithmetic)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            self._add("store", node, names=frozenset(filter(self.scope.binds, node.names)))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.BinOp | ast.Compare):
            self._add("call", node, names=self._reach(node), value=False)
        elif isinstance(node, ast.Raise):
            for raised in (node.exc, node.cause):
                if raised and chain(raised) and self._names(raised):
                    self._add_call(raised, chain(raised))

    def _call(self, node: ast.Call) -> None:
        called = chain(node.func)
        if not self._harmless(node, called):
            self._add_call(node, called)
        elif not self.scope.registers(node):
            self._hand(node, called)

    def _add_call(self, node: ast.expr, called: str) -> None:
        names = self._reach(node)
        if self.scope.full_name(called) in EVALUATING:
            names |= self.scope.own | self.scope.imports.keys()
        callee = called if self._known(root(called)) else ""
        self._add("call", node, callee=callee, names=names, value=id(node) not in self._statements)

    def _hand(self, node: ast.Call, called: str) -> None:
        """A harmless call may run what it is given all the same, and use it up."""
        given = [*node.args, *(key.value for key in node.keywords)]
        builtin = self.scope.is_builtin(called) and called not in self.local
        self._operate(node, frozenset({ANY}), given, consumed=not (builtin and called in UNUSED_BY))
        if isinstance(node.func, ast.Attribute) and not self.scope.full_name(called):
            logged = LOGGED_BY if node.func.attr in LOGGING_METHODS else frozenset[str]()
            self._operate(node, logged, [node.func.value], consumed=True)
            given = [key.value for key in node.keywords]
        elif builtin or self.scope.full_name(called) in KEEPING_FUNCTIONS:
            return
        names = self._reach(*given) if given else frozenset[str]()
        if names:
            self._add("hand", node, names=names)

    def _harmless(self, node: ast.Call, called: str) -> bool:
        first = root(called)
        if self.scope.registers(node):
            return True
        if first and first not in self.local:
            if self.scope.is_builtin(first):
                return called in PURE_BUILTINS and not _calls_back(node, called)
            full = self.scope.full_name(called)
            if pure(full) or full in SHARED_MAKERS:
                handed = [*node.args, *(key.value for key in node.keywords)]
                called_back = full not in KEEPING_FUNCTIONS and any(map(self._may_run, handed))
                written = any(key.arg in {"out", None} for key in node.keywords) or (
                    full in UFUNCS and len(node.args) > 1
                )
                return not called_back and not written
        return isinstance(node.func, ast.Attribute) and self._harmless_method(node.func)

    def _harmless_method(self, function: ast.Attribute) -> bool:
        receiver, method = function.value, function.attr
        owner = root(chain(receiver))
        if owner and owner == self.own and isinstance(receiver, ast.Name):
            return True  # methods of one's own class are read with the class
        if isinstance(receiver, ast.Call) and chain(receiver.func) == "super":
            return True  # so are those of its bases
        if isinstance(receiver, _TEXT) or owner in self.fresh:
            return method in HARMLESS_METHODS | CONTAINER_METHODS
        if owner in self.scope.imports and owner not in self.local:
            return False
        return method in HARMLESS_METHODS and not self.scope.names_in(*_calls_below(receiver))

    def _store(self, node: ast.Attribute | ast.Subscript) -> None:
        """What is put into an object may be changed by whoever has that object."""
        owner = node.value
        if isinstance(owner, ast.Name):
            if owner.id == self.own and isinstance(node, ast.Attribute):
                return
            if owner.id in self.fresh:
                return
        value = self._stored.get(id(node))
        put = self._reach(value) if value else frozenset[str]()
        names = self.scope.names_in(owner)
        dotted = chain(owner)
        if dotted and root(dotted) not in self.local:
            self._add("store", node, callee=dotted if names else "", names=names, put=put)
        else:
            self._add("store", node, names=self._reach(owner) | names, put=put)

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        for decorator in node.decorator_list:
            self._decorator(decorator, node.name)
        if isinstance(node, ast.ClassDef):
            self._bases(node)

    def _bases(self, node: ast.ClassDef) -> None:
        """What is called when a class is made is given the class, and so all that the class names."""
        for base in node.bases:
            target = base.value if isinstance(base, ast.Subscript) else base
            self._given(node, "subclass", target)
        for keyword in node.keywords:
            if keyword.arg == "metaclass":
                self._given(node, "call", keyword.value)
        if is_enumeration(node):
            for base in node.bases:
                self._given(node, "call", base)
        if makes_members(node):
            self._add("call", node, callee=node.name if self._known(node.name) else "", names=self._reach(node))

    def _given(self, node: ast.ClassDef, kind: Kind, target: ast.expr) -> None:
        dotted = chain(target)
        if self._known(root(dotted)) and self.scope.names_in(target):
            self._add(kind, target, callee=dotted, names=self._reach(node))
        elif root(dotted) in self.local or (not dotted and self.scope.names_in(target)):
            self._add(kind, target, names=self._reach(node))

    def _known(self, name: str) -> bool:
        """True for a name of the module that nothing local hides."""
        return bool(name) and self.scope.binds(name) and name not in self.local

    def _operations(self, node: ast.AST) -> None:
        self._typing.update(id(part) for each in _type_hints(node) for part in ast.walk(each))
        hint = id(node) in self._typing
        for methods, operands in operations(node):
            self._operate(node, methods & _IN_TYPES if hint else methods, operands)
        if isinstance(node, ast.ImportFrom):
            names = frozenset(alias.asname or alias.name for alias in node.names)
            self._note_operation(node, frozenset({"__getattr__"}), names, local=False)

    def _may_run(self, node: ast.AST) -> bool:
        """True for code of one's own that is handed over in place, as a lambda or an inner function."""
        parts = list(ast.walk(node))
        lambdas = any(isinstance(part, ast.Lambda) for part in parts)
        return lambdas and bool(self._reach(node))

    def _operate(
        self, node: ast.AST, methods: frozenset[str], operands: Sequence[ast.AST], *, consumed: bool | None = None
    ) -> None:
        parts = (part for operand in operands for part in ast.walk(operand))
        local = any(isinstance(part, ast.Name) and part.id in self.local for part in parts)
        names = self.scope.used_in(*operands) | (self.everything if local else frozenset())
        uses_up = consuming(methods) if consumed is None else consumed
        if (methods or uses_up) and (names or local):
            self._note_operation(node, methods, names, local=local, consumed=uses_up)

    def _note_operation(
        self, node: ast.AST, methods: frozenset[str], names: frozenset[str], *, local: bool, consumed: bool = False
    ) -> None:
        """All operations of code that runs together are one effect."""
        before = self._operated
        self._operated = Effect(
            "operate",
            before.line or getattr(node, "lineno", 0),
            names=before.names | names,
            methods=before.methods | methods,
            local=before.local or local,
            consumed=before.consumed | (names if consumed else frozenset()),
            consumes=before.consumes or (consumed and local),
        )

    def _decorator(self, decorator: ast.expr, subject: str) -> None:
        self._decorators.add(id(decorator))
        if plain_decorator(decorator, self.scope):
            return
        called = chain(decorator.func if isinstance(decorator, ast.Call) else decorator)
        owned = subject if self.scope.binds(subject) else ""
        curried = isinstance(decorator, ast.Call)
        self._add("decorate", decorator, callee=called, names=self._reach(decorator), subject=owned, curried=curried)

    def _names(self, node: ast.AST) -> bool:
        return bool(self._reach(node)) or root(chain(node)) in self.local

    def _reach(self, *nodes: ast.AST) -> frozenset[str]:
        names = self.scope.used_in(*nodes)
        parts = (part for node in nodes for part in ast.walk(node))
        if self.local and any(isinstance(part, ast.Name) and part.id in self.local for part in parts):
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
        put: frozenset[str] = frozenset(),
        curried: bool = False,
        methods: frozenset[str] = frozenset(),
    ) -> None:
        texts = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
        strings = frozenset(text for text in texts if isinstance(text, str))
        line = getattr(node, "lineno", 0)
        self.found.append(Effect(kind, line, callee, names, subject, value, strings, methods, put=put, curried=curried))


def plain_decorator(decorator: ast.expr, scope: Scope) -> bool:
    """True for a decorator that changes nothing but what it decorates, in a way that is known."""
    called = chain(decorator.func if isinstance(decorator, ast.Call) else decorator)
    full = scope.full_name(called)
    if pure(full) or full in scope.registration:
        return True
    if scope.is_builtin(called) and called in PURE_BUILTINS:
        return True
    return called.endswith((".setter", ".getter", ".deleter")) and root(called) not in scope.imports


def makes_members(node: ast.ClassDef) -> bool:
    """True for an enumeration whose own code makes its members."""
    return is_enumeration(node) and any(getattr(part, "name", "") in _MEMBER_METHODS for part in node.body)


def is_enumeration(node: ast.ClassDef) -> bool:
    return any(chain(base).rpartition(".")[2] in ENUMERATIONS for base in node.bases)


def _calls_back(node: ast.Call, called: str) -> bool:
    """True when a builtin calls what it is given, as ``sorted(key=)`` and ``iter(function, end)``, or makes a class."""
    if called in {"type", "iter"} and len(node.args) > 1:
        return True
    return any(key.arg in {"key", "file", None} for key in node.keywords)


def _type_hints(node: ast.AST) -> Iterator[ast.expr]:
    """Parts that only tell a type, although they run."""
    if isinstance(node, ast.ClassDef):
        yield from (base for base in node.bases if isinstance(base, ast.Subscript))
    found = getattr(node, "annotation", None) or getattr(node, "returns", None)
    if isinstance(found, ast.expr):
        yield found


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
    return _bound_only(nodes, lambda value: isinstance(value, _FRESH))


def new_names(nodes: Iterable[ast.AST], *, computed: bool = True) -> frozenset[str]:
    """Names that these nodes bind to results of their own only: what they change in place nobody else has."""
    return _bound_only(nodes, lambda value: _is_new(value) and (computed or not _computed(value)))


def own_name(nodes: Iterable[ast.AST], methods: Iterable[ast.AST]) -> str:
    """``self``, if in these nodes it is only the object that one of the methods works on; empty otherwise."""
    functions = (part for part in methods if isinstance(part, Function) and not unbound(part))
    first = [[*each.args.posonlyargs, *each.args.args][:1] for each in functions]
    working = {id(argument) for arguments in first for argument in arguments}
    others = [node for node in nodes if id(node) not in working]
    return "" if "self" in bound_names(others) or not working else "self"


def _is_new(value: ast.AST | None) -> bool:
    return isinstance(value, _NEW) or (isinstance(value, ast.Call) and chain(value.func) in _MAKERS)


def _computed(value: ast.AST | None) -> bool:
    """True for the result of an operator, which a class of the tree may decide."""
    if not isinstance(value, ast.BinOp | ast.UnaryOp | ast.Compare):
        return False
    return any(isinstance(part, ast.Name) for part in ast.walk(value))


def _bound_only(nodes: Iterable[ast.AST], accepts: Callable[[ast.AST | None], bool]) -> frozenset[str]:
    fresh, other = set[str](), set[str]()
    plain = set[int]()
    for node in nodes:
        for name in _assigned(node):
            plain.add(id(name))
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            (fresh if accepts(value) else other).add(name.id)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            plain.add(id(node.target))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in plain:
            other.add(node.id)
        other.update(_otherwise_bound(node))
    return frozenset(fresh - other)


def _otherwise_bound(node: ast.AST) -> set[str]:
    """Names that a node binds by anything but an assignment."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return set() if isinstance(node, ast.Name) else bound_names([node])


def _assigned(node: ast.AST) -> Iterator[ast.Name]:
    if isinstance(node, ast.Assign):
        yield from (target for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target


def _imports_only(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and chain(node.func) in _PERMITTED_DYNAMIC


def _calls_below(node: ast.AST) -> list[ast.AST]:
    return [part for part in ast.walk(node) if isinstance(part, ast.Call)]
