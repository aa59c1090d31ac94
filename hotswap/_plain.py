"""What may travel between a version and who compares it: data that no code is needed to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hotswap.errors import NotPlainError

Plain = Any
"""None, booleans, integers of 64 bits, floats, text, bytes, and lists and text-keyed dictionaries of these."""

_DEEPEST: Final = 100
_INT64: Final = range(-(2**63), 2**63)
_WAYS_OUT: Final = ("tolist", "isoformat", "model_dump", "_asdict")


def to_plain(value: object, what: str) -> Plain:
    """``value`` as it will arrive: tuples become lists, and values of subtypes those of the type itself.

    Raises NotPlainError, which names ``what`` it is, the type that is not plain, and where inside it that is.
    """
    return _convert(value, what, "", 0)


def _convert(value: object, what: str, place: str, depth: int) -> Plain:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, what, place)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, int) and int(value) in _INT64:
        return int(value)
    if isinstance(value, Mapping | list | tuple) and depth < _DEEPEST:
        return _inner(value, what, place, depth + 1)
    raise _refusal(value, what, place)


def _inner(value: Mapping[Any, Any] | list[Any] | tuple[Any, ...], what: str, place: str, depth: int) -> Plain:
    if isinstance(value, Mapping):
        return {_key(key, what, place): _convert(each, what, f"{place}[{key!r}]", depth) for key, each in value.items()}
    return [_convert(each, what, f"{place}[{index}]", depth) for index, each in enumerate(value)]


def _text(value: str, what: str, place: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NotPlainError(f"{what}{_at(place)} is text that UTF-8 cannot express: {value[:40]!r}.") from None
    return str.__str__(value)


def _key(key: object, what: str, place: str) -> str:
    if isinstance(key, str) and "\0" not in key:  # which BSON ends a key with
        return _text(key, what, place)
    raise NotPlainError(f"{what}{_at(place)} has a key of the type {_name(key)}, {key!r}: use text as keys.")


def _refusal(value: object, what: str, place: str) -> NotPlainError:
    start = f"{what}{_at(place)} is"
    if isinstance(value, int):
        return NotPlainError(f"{start} an integer of more than 64 bits: pass it as text.")
    if isinstance(value, Mapping | list | tuple):
        return NotPlainError(f"{what} is nested more than {_DEEPEST} levels deep, or holds itself: flatten it.")
    way_out = next((f"; its {name}() may be" for name in _WAYS_OUT if callable(getattr(value, name, None))), "")
    return NotPlainError(
        f"{start} of the type {_name(value)}, which is not plain data{way_out}: "
        "use None, booleans, numbers, text, bytes, lists and dictionaries with text as keys."
    )


def _at(place: str) -> str:
    return f", at {place}," if place else ""


def _name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
