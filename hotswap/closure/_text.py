"""How much of its own text code may read: docstrings, or lines and their numbers."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from hotswap.closure._facts import Detail, Import
from hotswap.closure._known import SOURCE_ATTRIBUTES, words

_LINES = SOURCE_ATTRIBUTES | {"linecache", "get_source", "getframeinfo", "tokenize", "co_linetable", "co_lnotab"}
_DOCSTRINGS = words(
    """__doc__ getdoc docopt use_attribute_docstrings co_consts getmembers getmembers_static classify_class_attrs
    getattr_static globals locals json_schema model_json_schema models_json_schema schema schema_json
    GenerateJsonSchema"""
)
_DOCUMENTING = words("unittest click typer fire docopt pydoc doctest cmd plac defopt fastapi cyclopts")
_LINE_LIBRARIES = words("cloudpickle dill marshal dis")
_MODELS = words("pydantic pydantic_settings pydantic_xml sqlmodel beanie odmantic")


def detail_of(nodes: list[ast.AST], imports: Iterable[Import]) -> Detail:
    """What the module may read of any module that it reaches."""
    mentioned = {str(getattr(node, key, "")) for node in nodes for key in ("id", "attr", "arg", "name", "value")}
    libraries = _libraries(imports)
    if mentioned & _LINES or libraries & _LINE_LIBRARIES or any(_hands_out_code(node) for node in _loose(nodes)):
        return Detail.TEXT
    if mentioned & _DOCSTRINGS or libraries & _DOCUMENTING or any(_lists_class(node) for node in nodes):
        return Detail.DOCSTRINGS
    return Detail.CODE


def models(imports: Iterable[Import]) -> bool:
    """True for a module whose classes a library may describe by their docstrings."""
    return bool(_libraries(imports) & _MODELS)


def _libraries(imports: Iterable[Import]) -> set[str]:
    return {entry.module.partition(".")[0] for entry in imports if entry.level == 0}


def _loose(nodes: list[ast.AST]) -> list[ast.AST]:
    """Nodes that are no owner of an attribute."""
    owners = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    return [node for node in nodes if id(node) not in owners]


def _hands_out_code(node: ast.AST) -> bool:
    """True for ``f.__code__`` that goes on as an object: it knows its lines."""
    return isinstance(node, ast.Attribute) and node.attr == "__code__"


def _lists_class(node: ast.AST) -> bool:
    """True where anything that a class has, its docstring too, may be asked for; an object has none of its own."""
    if isinstance(node, ast.Attribute):
        return node.attr == "__dict__" and not _is_self(node.value)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    if node.func.id in {"vars", "getattr"} and node.args and _is_self(node.args[0]):
        return False
    computed = node.func.id == "getattr" and len(node.args) > 1 and not isinstance(node.args[1], ast.Constant)
    return node.func.id in {"help", "vars"} or computed


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"
