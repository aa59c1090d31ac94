"""Whether parameters fit the JSON schema that a snapshot describes a task with, without importing the snapshot.

Covers what pydantic writes for constructor parameters. A keyword it does not know accepts everything: the worker
validates again with the real types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from lab.records import Document


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and float(value).is_integer(),
    "number": _is_number,
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
_BOUNDS: Final[Mapping[str, tuple[Callable[[float, float], bool], str]]] = {
    "minimum": (lambda value, bound: value >= bound, "at least"),
    "maximum": (lambda value, bound: value <= bound, "at most"),
    "exclusiveMinimum": (lambda value, bound: value > bound, "greater than"),
    "exclusiveMaximum": (lambda value, bound: value < bound, "less than"),
}
_LENGTHS: Final = {"minItems": list, "maxItems": list, "minLength": str, "maxLength": str}


def complaint(schema: Document, parameters: Document) -> str | None:
    """The first thing wrong with ``parameters``, as the end of a sentence, or None when they fit."""
    return next(_object(schema, parameters, "", schema.get("$defs", {})), None)


def _check(schema: Document, value: Any, path: str, definitions: Document) -> Iterator[str]:
    if "$ref" in schema:
        schema = {**definitions[schema["$ref"].rpartition("/")[2]], **schema}
    if "anyOf" in schema:
        yield from _any_of(schema["anyOf"], value, path, definitions)
    allowed = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if allowed is not None and value not in allowed:
        yield f"parameter {path!r} must be {_either(allowed)}, not {value!r}"
    expected = str(schema.get("type"))
    if expected in _TYPES and not _TYPES[expected](value):
        yield f"parameter {path!r} must be {_article(expected)}, not {value!r}"
        return
    yield from _bounds(schema, value, path)
    if isinstance(value, dict):
        yield from _object(schema, value, f"{path}.", definitions)
    elif isinstance(value, list):
        yield from _items(schema, value, path, definitions)


def _any_of(options: list[Document], value: Any, path: str, definitions: Document) -> Iterator[str]:
    complaints = [next(_check(option, value, path, definitions), None) for option in options]
    if None not in complaints:
        yield str(complaints[0])


def _bounds(schema: Document, value: Any, path: str) -> Iterator[str]:
    for keyword, (holds, words) in _BOUNDS.items():
        if keyword in schema and _is_number(value) and not holds(value, schema[keyword]):
            yield f"parameter {path!r} must be {words} {schema[keyword]}, not {value!r}"
    for keyword, kind in _LENGTHS.items():
        if keyword in schema and isinstance(value, kind):
            fits = len(value) >= schema[keyword] if keyword.startswith("min") else len(value) <= schema[keyword]
            if not fits:
                words = "at least" if keyword.startswith("min") else "at most"
                yield f"parameter {path!r} must have a length of {words} {schema[keyword]}, not {len(value)}"


def _object(schema: Document, value: Document, path: str, definitions: Document) -> Iterator[str]:
    properties: Document = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"parameter {path + name!r} is missing"
    others = schema.get("additionalProperties", True)
    for name, each in value.items():
        if name in properties:
            yield from _check(properties[name], each, path + name, definitions)
        elif others is False:
            yield f"there is no parameter {path + name!r}{did_you_mean(name, properties)}"
        elif isinstance(others, dict):
            yield from _check(others, each, path + name, definitions)


def _items(schema: Document, value: list[Any], path: str, definitions: Document) -> Iterator[str]:
    fixed: list[Document] = schema.get("prefixItems", [])
    for number, each in enumerate(value):
        rule = fixed[number] if number < len(fixed) else schema.get("items", {})
        if isinstance(rule, dict):
            yield from _check(rule, each, f"{path}[{number}]", definitions)


def did_you_mean(name: str, known: Mapping[str, Any]) -> str:
    """A hint to append to "there is no ...": the nearest known name, or all of them when there are few."""
    nearest = get_close_matches(name, known, n=1)
    if nearest:
        return f"; did you mean {nearest[0]!r}?"
    return f"; there is {', '.join(sorted(known))}" if 0 < len(known) <= 12 else ""


def sentence(text: str) -> str:
    """The text with a full stop, unless it ends with a question."""
    return text if text.endswith("?") else f"{text}."


def _article(kind: str) -> str:
    if kind == "null":
        return kind
    return f"an {kind}" if kind[0] in "aio" else f"a {kind}"


def _either(allowed: list[Any]) -> str:
    return repr(allowed[0]) if len(allowed) == 1 else f"one of {', '.join(map(repr, allowed))}"
