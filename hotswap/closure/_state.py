"""Which values have a state that use changes: iterators, streams, queues, counters, and what may hold one."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hotswap.closure._facts import Held
from hotswap.closure._known import CONTAINER_METHODS, HARMLESS_METHODS, ITERATORS, words
from hotswap.closure._operators import ARITHMETIC
from hotswap.closure._scope import Scope
from hotswap.closure._walk import bound_names, chain, root
from hotswap.closure._wrappers import Function

_COPIES = words(
    """list tuple dict set frozenset sorted min max abs round sum next bytes bytearray memoryview getattr type super
    object range slice vars property staticmethod classmethod divmod pow"""
)
_SCALARS = words(
    """int float str bool complex len repr ascii format hash id isinstance issubclass callable hasattr chr ord bin hex
    oct any all dir"""
)
_ITERATING = frozenset({"iter", "map", "filter", "zip", "enumerate", "reversed"})
_ITERATING_METHODS = frozenset({"glob", "rglob", "iterdir", "finditer"})
_PARTS = (
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.IfExp,
    ast.List,
    ast.Tuple,
    ast.Set,
    ast.Dict,
    ast.Starred,
    ast.Attribute,
    ast.Subscript,
    ast.Slice,
    ast.NamedExpr,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.comprehension,
    ast.keyword,
)
"""Expressions whose value has no state but that of their parts."""

_PLAIN = (ast.Constant, ast.JoinedStr, ast.Compare, ast.Lambda, ast.expr_context, ast.operator, ast.unaryop, ast.boolop)
NOTHING = Held()
_STATE = Held(state=True)


def union(parts: Iterable[Held]) -> Held:
    """What any of several values may hold."""
    result = NOTHING
    for part in parts:
        result = Held(result.state or part.state, result.names | part.names, result.made | part.made)
    return result


@dataclass
class Values:
    """Tells what the values of expressions may hold; ``local`` are the expressions that local names stand for."""

    scope: Scope
    local: dict[str, list[ast.expr]] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)

    def held(self, node: ast.AST) -> Held:
        """What the value of an expression may hold; whatever is not known has a state."""
        if isinstance(node, _PLAIN):
            return NOTHING
        if isinstance(node, ast.Name | ast.Attribute) and chain(node):
            return self._named(chain(node))
        if isinstance(node, _PARTS):
            return union(map(self.held, ast.iter_child_nodes(node)))
        return self._called(node) if isinstance(node, ast.Call) else _STATE

    def _named(self, dotted: str) -> Held:
        first = root(dotted)
        if first not in self.local:
            return Held(names=frozenset({dotted})) if self.scope.binds(first) else NOTHING
        if first in self._open:
            return NOTHING
        self._open.add(first)
        found = union(map(self.held, self.local[first]))
        self._open.discard(first)
        return found

    def _called(self, node: ast.Call) -> Held:
        called = chain(node.func)
        first = root(called)
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        if called and self.scope.is_builtin(called) and called not in self.local:
            return self._builtin(called, given)
        if isinstance(node.func, ast.Attribute) and not self._imported(first):
            return self._method(node.func, given)
        if not called or first in self.local or not self.scope.binds(first):
            return _STATE
        return union([Held(made=frozenset({called})), *map(self.held, given)])

    def _imported(self, first: str) -> bool:
        return first in self.scope.imports and first not in self.local

    def _builtin(self, called: str, given: list[ast.expr]) -> Held:
        if called in _SCALARS or called.endswith(("Error", "Exception", "Exit", "Interrupt", "Warning")):
            return NOTHING
        if called in _COPIES:
            return union(map(self._elements, given))
        return union([_STATE, *map(self.held, given)])

    def _method(self, function: ast.Attribute, given: list[ast.expr]) -> Held:
        held = union(map(self.held, [function.value, *given]))
        if function.attr in HARMLESS_METHODS | CONTAINER_METHODS:
            return held
        return union([_STATE, held])

    def _elements(self, node: ast.expr) -> Held:
        """What a container made of an iterable holds: of an iterator that only the container reads, its elements."""
        if isinstance(node, ast.GeneratorExp):
            return union(map(self.held, [node.elt, *node.generators]))
        if isinstance(node, ast.Call) and self._iterates(node.func):
            parts = [*node.args, *([node.func.value] if isinstance(node.func, ast.Attribute) else [])]
            return union(map(self._elements, parts))
        return self.held(node)

    def _iterates(self, function: ast.expr) -> bool:
        called = chain(function)
        if called in _ITERATING and self.scope.is_builtin(called) and called not in self.local:
            return True
        full = self.scope.full_name(called)
        iterator = full in ITERATORS or full.startswith("itertools.")
        return iterator or (isinstance(function, ast.Attribute) and function.attr in _ITERATING_METHODS)


def returned(node: Function | ast.Lambda, scope: Scope) -> Held:
    """What the result of a call may hold."""
    if isinstance(node, ast.Lambda):
        return Values(scope, _parameters(node)).held(node.body)
    nodes = list(_own(node))
    if isinstance(node, ast.AsyncFunctionDef) or any(isinstance(part, ast.Yield | ast.YieldFrom) for part in nodes):
        return union([_STATE, Held(made=scope.names_in(node))])
    values = Values(scope, _parameters(node) | bindings(nodes))
    results = (part.value for part in nodes if isinstance(part, ast.Return) and part.value)
    put = (
        value for part in nodes for target, value in _bound(part) if isinstance(target, ast.Attribute | ast.Subscript)
    )
    return union(values.held(value) for value in (*results, *put))


def variables(nodes: list[ast.AST], tree: ast.Module, scope: Scope) -> dict[str, Held]:
    """What the variables of a module may hold, by statements that run at import or in functions that declare them."""
    plain = Values(scope)
    found = {name: union(map(plain.held, values)) for name, values in bindings(nodes).items()}
    for node in nodes:
        for argument, held in _filled(node, plain):
            if argument in found:
                found[argument] = union([found[argument], held])
    for function in ast.walk(tree):
        if isinstance(function, Function):
            for name, held in _declared(function, scope):
                if name in found:
                    found[name] = union([found[name], held])
    return found


def _filled(node: ast.AST, values: Values) -> Iterator[tuple[str, Held]]:
    """Variables that a call whose result nobody uses may put something into."""
    call = node.value if isinstance(node, ast.Expr) else None
    if isinstance(call, ast.Call) and chain(call.func):
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        held = union([Held(made=values.scope.names_in(call.func)), *map(values.held, given)])
        yield from ((argument.id, held) for argument in given if isinstance(argument, ast.Name))


def _declared(function: Function, scope: Scope) -> Iterator[tuple[str, Held]]:
    nodes = list(_own(function))
    names = {name for node in nodes if isinstance(node, ast.Global) for name in node.names}
    if names:
        bound = bindings(nodes)
        values = Values(scope, _parameters(function) | {name: bound[name] for name in bound.keys() - names})
        yield from ((name, union(map(values.held, bound.get(name, [])))) for name in sorted(names))


def kept(node: ast.ClassDef, scope: Scope) -> Held:
    """What a class and its instances may hold; a method that Python calls may change an instance too."""
    found = [_attributes(node.body, Values(scope))]
    for part in ast.walk(node):
        if isinstance(part, Function):
            inside = list(_own(part))
            found.append(_attributes(inside, Values(scope, _parameters(part) | bindings(inside))))
            if changes_itself(part):
                found.append(_STATE)
    return union(found)


def _attributes(nodes: Iterable[ast.AST], values: Values) -> Held:
    return union(
        values.held(node.value) for node in nodes if isinstance(node, ast.Assign | ast.AnnAssign) and node.value
    )


def hands_out(method: ast.AST) -> bool:
    """True for arithmetic whose result is something that others may have too."""
    if not isinstance(method, Function) or method.name not in ARITHMETIC:
        return False
    results = (part.value for part in _own(method) if isinstance(part, ast.Return))
    return any(isinstance(value, ast.Name | ast.Attribute | ast.Subscript) for value in results)


def changes_itself(method: ast.AST) -> bool:
    """True for a method, called without being named, that stores in its object or uses up what that holds."""
    if not isinstance(method, Function) or method.name in {"__init__", "__new__", "__post_init__", "__set_name__"}:
        return False
    if not method.name.startswith("__") and not method.decorator_list:
        return False
    if any("cache" in chain(each) for each in method.decorator_list):
        return True
    nodes = list(_own(method))
    stores = (node for node in nodes if isinstance(node, ast.Attribute | ast.Subscript))
    used = [node.iter for node in nodes if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension)]
    used += [part for node in nodes if isinstance(node, ast.Call) for part in node.args if chain(node.func) == "next"]
    changed = any(not isinstance(node.ctx, ast.Load) and _of_self(node) for node in stores)
    return changed or any(_of_self(node) for node in used)


def _of_self(node: ast.AST) -> bool:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


def bindings(nodes: list[ast.AST]) -> dict[str, list[ast.expr]]:
    """The expressions that names stand for, wholly or in part."""
    found = defaultdict[str, list[ast.expr]](list)
    for node in nodes:
        for target, value in _bound(node):
            for name in _bases(target):
                found[name].append(value)
    return {name: found[name] for name in bound_names(nodes)}


def _bases(target: ast.expr) -> Iterator[str]:
    """The names whose objects a target puts something into."""
    if isinstance(target, ast.Tuple | ast.List):
        for part in target.elts:
            yield from _bases(part)
    elif isinstance(target, ast.Attribute | ast.Subscript | ast.Starred):
        yield from _bases(target.value)
    elif isinstance(target, ast.Call):
        yield from _bases(target.func)
    elif isinstance(target, ast.Name):
        yield target.id


def _bound(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(node, ast.Assign):
        yield from ((target, node.value) for target in node.targets)
    elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value:
        yield node.target, node.value
    elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        yield node.target, node.iter
    elif isinstance(node, ast.withitem) and node.optional_vars:
        yield node.optional_vars, node.context_expr
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        if node.func.attr not in HARMLESS_METHODS:
            yield from ((node.func.value, value) for value in given)


def _parameters(node: Function | ast.Lambda) -> dict[str, list[ast.expr]]:
    """Parameters stand for what the call names anyway."""
    return {part.arg: [] for part in ast.walk(node.args) if isinstance(part, ast.arg)}


def _own(function: Function) -> Iterator[ast.AST]:
    """The nodes of the body of a function, without those of functions inside."""
    waiting: list[ast.AST] = [*function.body]
    for node in waiting:
        yield node
        if not isinstance(node, (*_FUNCTIONS, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(node))


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
