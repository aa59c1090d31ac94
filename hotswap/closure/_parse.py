"""From the bytes of a module to what it says about itself."""

from __future__ import annotations

import ast
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from blake3 import blake3

from hotswap.closure._data import folder_names
from hotswap.closure._effects import (
    Executed,
    fresh_names,
    is_dynamic,
    is_enumeration,
    new_names,
    own_name,
    plain_decorator,
)
from hotswap.closure._facts import Definition, Effect, Facts, Variable
from hotswap.closure._imports import imports_of, literal_import
from hotswap.closure._known import HOOKS, SHARED_MAKERS
from hotswap.closure._operators import called_unnamed, method_names
from hotswap.closure._places import Places
from hotswap.closure._scope import Scope
from hotswap.closure._state import changes_itself, hands_out, kept, returned, union, variables
from hotswap.closure._text import detail_of, models
from hotswap.closure._typing import without_type_checking
from hotswap.closure._walk import at_import, at_module_level, bound_names, chain, chains, root
from hotswap.closure._wrappers import Function, by_depth

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_LONGEST_STRING = 300


def digest(text: str | bytes) -> str:
    return blake3(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text).hexdigest()


def parse(content: bytes, registration: frozenset[str]) -> Facts:
    """Read one module; what does not parse is known by its bytes alone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
        return _read(tree, digest(content), registration)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Facts((digest(content),) * 3, parsed=False)


def _read(tree: ast.Module, text: str, registration: frozenset[str]) -> Facts:
    without_type_checking(tree)
    imports = imports_of(tree)
    scope = Scope.of(tree, imports, registration)
    registering = _take_registering(tree, scope)
    documented = digest(ast.dump(tree))
    strip_text_statements(tree)
    nodes = list(ast.walk(tree))
    places = Places(nodes, scope)
    places.read()
    return Facts(
        digests=(digest(ast.dump(tree)), documented, text),
        detail=detail_of(nodes, imports),
        models=models(imports),
        bases=frozenset(_bases(nodes, scope)),
        imports=imports,
        definitions=_definitions(tree, scope),
        variables=_variables(tree, scope),
        chains=_chains(tree, nodes, scope),
        effects=_effects(tree, registering, scope),
        dynamic=_dynamic(nodes, scope),
        strings=_strings(nodes),
        reads=frozenset(places.reads),
        places=frozenset(places.names),
        settled=places.settled,
    )


def _chains(tree: ast.Module, nodes: list[ast.AST], scope: Scope) -> frozenset[str]:
    """The chains of imported names; a package in ``files(my_lab)`` is no object, but the place of its files."""
    found = Counter(name for name in chains([tree]) if root(name) in scope.imports)
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    asked = [call for call in calls if scope.full_name(chain(call.func)).startswith("importlib.resources.")]
    found.subtract(chain(part) for call in asked for part in call.args)
    return frozenset(name for name, count in found.items() if count > 0)


def without_registering(tree: ast.Module, registration: frozenset[str]) -> ast.Module:
    """The tree without the statements that only register or only type checkers read, changed in place."""
    without_type_checking(tree)
    _take_registering(tree, Scope.of(tree, imports_of(tree), registration))
    return tree


def _take_registering(tree: ast.Module, scope: Scope) -> list[ast.stmt]:
    """Take the statements that only register out of a tree."""
    uses = _names(tree)
    found = [statement for statement in tree.body if _only_registers(statement, scope, uses)]
    tree.body = [statement for statement in tree.body if statement not in found]
    return found


def _names(tree: ast.AST) -> Counter[str]:
    return Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def strip_text_statements(tree: ast.Module) -> None:
    """Remove docstrings and other statements that are only a string, in place."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_text(part)]  # type: ignore[attr-defined]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _only_registers(statement: ast.stmt, scope: Scope, uses: Counter[str]) -> bool:
    """True for a statement that calls registration functions, perhaps in a loop, and does nothing else.

    ``uses`` counts the names in the whole module.
    """
    if not isinstance(statement, ast.Expr | ast.For | ast.If | ast.Assign):
        return False
    nodes = list(at_import([statement]))
    if not any(scope.registers(node) for node in nodes) or not _plain_shape(nodes):
        return False
    effects = Executed(scope).read(_without_registered(nodes, scope))
    if any(effect.kind != "operate" for effect in effects):
        return False
    own = _names(statement)
    return all(own[name] == uses[name] for name in bound_names(nodes))


def _plain_shape(nodes: list[ast.AST]) -> bool:
    allowed = (ast.Expr, ast.For, ast.If, ast.Pass, ast.Assign)
    return all(isinstance(node, allowed) for node in nodes if isinstance(node, ast.stmt))


def _without_registered(nodes: list[ast.AST], scope: Scope) -> list[ast.AST]:
    """Leave out ``Furnace(...)`` in ``add_device(Furnace(...))``: it is recorded with its arguments, not run."""
    recorded: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.Call) and scope.registers(node):
            recorded.update(id(argument) for argument in node.args if _names_class(argument))
    return [node for node in nodes if id(node) not in recorded]


def _names_class(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and chain(node.func).rpartition(".")[2][:1].isupper()


def _effects(tree: ast.Module, registering: list[ast.stmt], scope: Scope) -> tuple[Effect, ...]:
    nodes = list(at_import(tree.body))
    fresh, new = fresh_names(nodes), new_names(nodes)
    computed = new - new_names(nodes, computed=False)
    found: list[Effect] = []
    for statement in (*tree.body, *registering):
        inside = _without_registered(list(at_import([statement])), scope)
        reader = Executed(scope, fresh=fresh, new=new, computed=computed)
        found.extend(_in_statement(statement, reader.read(inside), scope))
    return tuple(found)


def _in_statement(statement: ast.stmt, effects: tuple[Effect, ...], scope: Scope) -> tuple[Effect, ...]:
    if not effects:
        return ()
    known, context = digest(ast.dump(statement)), scope.used_in(statement)
    return tuple(replace(effect, statement=known, context=context) for effect in effects)


def _definitions(tree: ast.Module, scope: Scope) -> dict[str, Definition]:
    found: dict[str, Definition] = {}
    for node in at_module_level(tree.body):
        if isinstance(node, _DEFINITIONS):
            found[node.name] = _merged(found.get(node.name), _definition(node, scope))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            for name in bound_names(node.targets):
                made = _body_of([node.value.body], node.value, scope)
                found[name] = _merged(found.get(name), replace(made, held=returned(node.value, scope)))
    return found


def _definition(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, scope: Scope) -> Definition:
    plain = _body_of(list(node.body), node, scope)
    effects = (*plain.effects, *Executed(scope).decorators(node))
    if not isinstance(node, ast.ClassDef):
        decorators = (each.func if isinstance(each, ast.Call) else each for each in node.decorator_list)
        cached = any("cache" in chain(each) for each in decorators)
        return replace(plain, effects=effects, held=returned(node, scope), cached=cached)
    bases = [*node.bases, *(key.value for key in node.keywords)]
    unnamed = (name for name, part in called_unnamed(node).items() if _acts(part, scope))
    return Definition(
        plain.names,
        tuple(name for base in bases for name in _base_names(base, scope)),
        (*effects, *_made_bases(node, scope)),
        _has_hooks(node),
        method_names(node),
        frozenset(unnamed),
        kept(node, scope),
    )


def _base_names(base: ast.expr, scope: Scope) -> list[str]:
    """The name of a base, or all names in the expression that makes it."""
    dotted = chain(base.value if isinstance(base, ast.Subscript) else base)
    names = [dotted] if dotted else sorted(scope.names_in(base))
    return [name for name in names if scope.binds(root(name))]


def _bases(nodes: list[ast.AST], scope: Scope) -> Iterator[str]:
    classes = (node for node in nodes if isinstance(node, ast.ClassDef))
    return (name for node in classes for base in node.bases for name in _base_names(base, scope))


def _made_bases(node: ast.ClassDef, scope: Scope) -> list[Effect]:
    """A base that an expression makes may run anything it names when the class is called."""
    plain = (base.value if isinstance(base, ast.Subscript) else base for base in node.bases)
    return [Effect("call", base.lineno, names=scope.names_in(base)) for base in plain if not chain(base)]


def _acts(part: ast.AST, scope: Scope) -> bool:
    """True when a method may do something, also by other methods of its class; an assigned one may do anything."""
    if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) or changes_itself(part) or hands_out(part):
        return True
    calls = (node for node in ast.walk(part) if isinstance(node, ast.Call))
    return any(root(chain(call.func)) in {"self", "cls"} for call in calls) or bool(
        _body_of([*part.body], part, scope, method=True).effects
    )


def _body_of(body: list[ast.AST], node: ast.AST, scope: Scope, *, method: bool = False) -> Definition:
    inside = [part for child in ast.iter_child_nodes(node) for part in ast.walk(child)]
    names, local = scope.names_in(node), frozenset(bound_names(inside))
    parents = [part for part in (node, *inside) if isinstance(part, ast.ClassDef)]
    methods = [*(part for parent in parents for part in parent.body), *([node] if method else [])]
    fresh, new, own = fresh_names(inside), new_names(inside), own_name(inside, methods)
    computed = new - new_names(inside, computed=False)
    effects: list[Effect] = []
    for depth, nodes in enumerate(_levels(body, node, scope)):
        reader = Executed(scope, local=local, fresh=fresh, new=new, computed=computed, everything=names, own=own)
        effects += (replace(effect, depth=depth) if depth else effect for effect in reader.read(nodes))
    return Definition(names, (), tuple(effects))


def _levels(body: list[ast.AST], node: ast.AST, scope: Scope) -> list[list[ast.AST]]:
    """The nodes that run when a definition is called, and when what it returns is."""
    if not isinstance(node, Function):
        return [[part for top in body for part in ast.walk(top)]]
    return by_depth(node, lambda decorator: plain_decorator(decorator, scope))


def _has_hooks(node: ast.ClassDef) -> bool:
    named = (part.name for part in ast.walk(node) if isinstance(part, ast.FunctionDef))
    hooked = is_enumeration(node) or any(key.arg == "metaclass" for key in node.keywords)
    return hooked or bool(HOOKS.intersection(named))


def _merged(first: Definition | None, second: Definition) -> Definition:
    if first is None:
        return second
    return Definition(
        first.names | second.names,
        (*first.bases, *second.bases),
        (*first.effects, *second.effects),
        first.hooks or second.hooks,
        first.methods & second.methods,
        first.unnamed | second.unnamed,
        union([first.held, second.held]),
        first.cached or second.cached,
    )


def _variables(tree: ast.Module, scope: Scope) -> dict[str, Variable]:
    """What each variable may stand for: every name of every statement that mentions it."""
    found: dict[str, Variable] = {}
    fresh = fresh_names(at_import(tree.body))
    statements = list(_statements(tree.body))
    held = variables(list(at_import(statements)), tree, scope)
    for statement in statements:
        names = scope.names_in(statement)
        for name in {root(dotted) for dotted in names} & held.keys():
            before = found.get(name)
            maker = "[]" if name in fresh else _maker(statement, name, before, scope)
            found[name] = Variable((before.names if before else frozenset()) | names, maker, held[name])
    return found


def _maker(statement: ast.stmt, name: str, before: Variable | None, scope: Scope) -> str:
    """The chain whose call made the value; a variable bound twice, or otherwise, has none."""
    if name not in bound_names(ast.walk(statement)):
        return before.maker if before else "?"
    value = getattr(statement, "value", None)
    called = chain(value.func) if isinstance(value, ast.Call) and not _shared(value, scope) else ""
    return called if called and (before is None or before.maker == "?") else ""


def _shared(call: ast.Call, scope: Scope) -> bool:
    """True for a call that hands out what others may have; a logger of the module's own name nobody else sets."""
    own = [chain(argument) for argument in call.args] == ["__name__"]
    return scope.full_name(chain(call.func)) in SHARED_MAKERS and not own


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            yield from _statements(statement.body)
        elif not isinstance(statement, (*_DEFINITIONS, ast.Import, ast.ImportFrom)):
            yield statement


def _dynamic(nodes: list[ast.AST], scope: Scope) -> tuple[str, ...]:
    excused = {id(part) for node in nodes if literal_import(node) for part in ast.walk(node)}
    found = (node for node in nodes if id(node) not in excused and is_dynamic(node, scope))
    texts = (f"{ast.unparse(node)} in line {getattr(node, 'lineno', 0)}" for node in found)
    return tuple(sorted(set(texts)))


def _strings(nodes: list[ast.AST]) -> frozenset[str]:
    folders = folder_names(nodes)
    constants = (node for node in nodes if isinstance(node, ast.Constant) and id(node) not in folders)
    texts = (node.value for node in constants if isinstance(node.value, str))
    return frozenset(text for text in texts if 0 < len(text) <= _LONGEST_STRING)
