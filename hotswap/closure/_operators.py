"""Methods that the language calls without naming them: operators, loops, properties, texts, truths."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from hotswap.closure._known import CONTAINER_METHODS, HARMLESS_METHODS, LOGGED_BY
from hotswap.closure._walk import chain

ANY = "*"
"""Stands for every method that the language may call, where an object is handed to a function of the language."""

CONSTRUCTING = frozenset({"__init__", "__new__", "__post_init__", "__init_subclass__", "__class_getitem__"})
"""Methods whose calls are seen where the class is called or subclassed."""

_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.MatMult: "matmul",
    ast.Div: "truediv",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "pow",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
}
ARITHMETIC = frozenset(f"__{side}{name}__" for name in _ARITHMETIC.values() for side in ("", "r"))
"""Methods whose result is new, unless they hand out what others have."""

_TEXTS = frozenset({"__str__", "__repr__", "__format__"})
_TRUTH = frozenset({"__bool__", "__len__"})
_LOOP = frozenset({"__iter__", "__next__", "__getitem__", "__len__"})
_KEYS = frozenset({"__hash__", "__eq__"})
_COMPARED = frozenset({"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"}) | _TRUTH
_MEMBERSHIP = _COMPARED | _LOOP | {"__contains__"}
_SIGNS = frozenset({"__neg__", "__pos__", "__invert__"})
_CONTEXT = frozenset({"__enter__", "__exit__", "__aenter__", "__aexit__"})
_ITEM = (
    frozenset({"__getitem__", "__setitem__", "__delitem__", "__missing__", "__class_getitem__", "__index__"}) | _KEYS
)
_ATTRIBUTE = frozenset({"__getattr__", "__getattribute__", "__get__", "__setattr__", "__set__", "__delattr__"})
_NAMED = frozenset({"__set_name__"})
_CONSUMING = frozenset(
    {ANY, "__next__", "__enter__", "__missing__", "__lshift__", "__rshift__", "__or__", "__and__", "__matmul__"}
)

Operation = tuple[frozenset[str], list[ast.AST]]


def consuming(methods: frozenset[str]) -> bool:
    """True when an operation may use up the object, as loops do iterators; reading, counting and comparing do not."""
    return not methods.isdisjoint(_CONSUMING)


def operations(node: ast.AST) -> Iterator[Operation]:
    """The methods that running this node may call, and the nodes of the objects they are called on or given."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.UnaryOp | ast.Compare | ast.BoolOp):
        yield _operator(node)
    elif isinstance(node, ast.Attribute):
        yield _ATTRIBUTE | {node.attr}, [node]
    elif isinstance(node, ast.Subscript):
        yield _ITEM, [node.value, node.slice]
    elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        yield _LOOP, [node.iter]
        if isinstance(node, ast.comprehension):
            yield _TRUTH, [*node.ifs]
    elif isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
        yield _TRUTH, [node.test]
    elif isinstance(node, ast.FormattedValue):
        yield _TEXTS, [node.value]
    elif isinstance(node, ast.With | ast.AsyncWith):
        yield _CONTEXT, [item.context_expr for item in node.items]
    else:
        yield from _less_common(node)


def _less_common(node: ast.AST) -> Iterator[Operation]:
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
        yield from _assignment(node)
    elif isinstance(node, ast.Starred | ast.YieldFrom | ast.Await):
        yield _LOOP, [node.value]
    elif isinstance(node, ast.Dict | ast.Set):
        yield _KEYS, [key for key in (node.keys if isinstance(node, ast.Dict) else node.elts) if key]
    elif isinstance(node, ast.Match):
        yield frozenset({ANY}), [node.subject]
    elif isinstance(node, ast.match_case):
        yield _TRUTH, [node.guard] if node.guard else []
    elif isinstance(node, ast.Delete):
        yield frozenset({"__del__", "__delete__"}), [*node.targets]
    elif isinstance(node, ast.ClassDef):
        values = [part.value for part in node.body if isinstance(part, ast.Assign | ast.AnnAssign) and part.value]
        yield _NAMED, [*values]


def _operator(node: ast.BinOp | ast.AugAssign | ast.UnaryOp | ast.Compare | ast.BoolOp) -> Operation:
    if isinstance(node, ast.BinOp):
        return _arithmetic(node.op), [node.left, node.right]
    if isinstance(node, ast.AugAssign):
        return _arithmetic(node.op) | _ITEM | _ATTRIBUTE, [node.target, node.value]
    if isinstance(node, ast.UnaryOp):
        return (_TRUTH if isinstance(node.op, ast.Not) else _SIGNS), [node.operand]
    if isinstance(node, ast.Compare):
        member = any(isinstance(each, ast.In | ast.NotIn) for each in node.ops)
        return _MEMBERSHIP if member else _COMPARED, [node.left, *node.comparators]
    return _TRUTH, [*node.values]


def _arithmetic(operator: ast.operator) -> frozenset[str]:
    name = _ARITHMETIC[type(operator)]
    texts = _TEXTS | {"__getitem__", "__missing__"} if isinstance(operator, ast.Mod) else frozenset[str]()
    return frozenset({f"__{name}__", f"__r{name}__", f"__i{name}__"}) | texts


def _assignment(node: ast.Assign | ast.AnnAssign | ast.NamedExpr) -> Iterator[Operation]:
    """A value may be unpacked, or given to a setter: of the value, nothing is called when it gets a plain name."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if node.value is None or all(isinstance(target, ast.Name) for target in targets):
        return
    stored = [part for target in targets for part in ast.walk(target)]
    names = {part.attr for part in stored if isinstance(part, ast.Attribute)}
    unpacked = _LOOP if any(isinstance(part, ast.Tuple | ast.List) for part in stored) else frozenset[str]()
    yield unpacked | (_ITEM - {"__missing__"}) | _ATTRIBUTE | names, [*targets, node.value]


def called_unnamed(node: ast.ClassDef) -> dict[str, ast.AST]:
    """The members of a class that the language may call without naming them, or by a name that tells nothing."""
    found: dict[str, ast.AST] = {}
    for part in _members(node.body):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            if _unnamed(part.name) or part.decorator_list:
                found[part.name] = part
        elif isinstance(part, ast.Assign) and not isinstance(part.value, ast.Constant):
            names = (target.id for target in part.targets if isinstance(target, ast.Name))
            found.update((name, part) for name in names if _unnamed(name) or isinstance(part.value, ast.Call))
    return found


def method_names(node: ast.ClassDef) -> frozenset[str]:
    """The classes in the body of a class and its methods that are given no object to work on."""
    named = (part for part in _members(node.body) if not isinstance(part, ast.Assign))
    return frozenset(part.name for part in named if isinstance(part, ast.ClassDef) or unbound(part))


def unbound(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """True for a class method or a static one."""
    return any(chain(each) in {"classmethod", "staticmethod"} for each in function.decorator_list)


def _members(body: Iterable[ast.AST]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign]:
    for part in body:
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign):
            yield part
        elif isinstance(part, ast.If | ast.Try | ast.With | ast.For | ast.While | ast.ExceptHandler):
            yield from _members(ast.iter_child_nodes(part))


def _unnamed(name: str) -> bool:
    if name in CONSTRUCTING:
        return name == "__class_getitem__"
    return name.startswith("__") or name in HARMLESS_METHODS | CONTAINER_METHODS | LOGGED_BY
