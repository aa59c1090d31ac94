"""Plain data: what BSON carries, so that no process ever has to trust the objects of another."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from enum import Enum
from pathlib import PurePath
from typing import Any, Final

from bson import ObjectId
from pydantic import BaseModel

Plain = Any
"""Text, bytes, booleans, 64-bit integers, floats, None, datetimes, and lists and text-keyed dictionaries of these."""

_DEEPEST: Final = 100
_INT64: Final = range(-(2**63), 2**63)


def to_plain(value: object, what: str) -> Plain:
    """Return ``value`` for a call between processes: tuples become lists, NumPy values Python's.

    Raises TypeError, naming ``what`` it is and where inside it, when there is more to it than plain data.
    """
    return _convert(value, what, _strict, 0)


def to_record(value: object, what: str) -> Plain:
    """Return ``value`` for the database: beyond `to_plain`, takes models, dataclasses, sets, paths and the like.

    Keys that are not text become text. Raises TypeError like `to_plain`.
    """
    return _convert(value, what, _generous, 0)


_Reduce = Callable[[object], object]


def _convert(value: object, what: str, reduce: _Reduce, depth: int) -> Plain:
    if depth > _DEEPEST:
        raise TypeError(f"{what} is nested more than {_DEEPEST} levels deep; flatten it.")
    value = reduce(value)
    if isinstance(value, Mapping):
        return {
            _key(key, what, reduce): _convert(each, f"{what}[{key!r}]", reduce, depth + 1)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_convert(each, f"{what}[{index}]", reduce, depth + 1) for index, each in enumerate(value)]
    return _scalar(value, what)


def _scalar(value: object, what: str) -> Plain:
    if value is None or isinstance(value, bool | float | str | bytes):
        return value
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, int):
        if value not in _INT64:
            raise TypeError(f"{what} is {value}, which does not fit 64 bits; pass it as text.")
        return int(value)
    raise TypeError(
        f"{what} is a {type(value).__module__}.{type(value).__qualname__}, which cannot leave its process; "
        "use text, numbers, booleans, None, datetimes, lists or dictionaries."
    )


def _key(key: object, what: str, reduce: _Reduce) -> str:
    key = reduce(key)
    if isinstance(key, str) and "\0" not in key:
        return key
    if reduce is _generous and isinstance(key, int | float | date):
        return str(key)
    raise TypeError(f"{what} has the key {key!r}; use text as keys.")


def _strict(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    return value


def _generous(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value
    for kinds, reduce in _REDUCTIONS.items():
        if isinstance(value, kinds):
            return reduce(value)
    return _strict(value)


_REDUCTIONS: Final[dict[tuple[type, ...], Callable[[Any], object]]] = {
    (set, frozenset): lambda value: sorted(value, key=repr),
    (PurePath, ObjectId): str,
    (timedelta,): timedelta.total_seconds,
    (date, clock_time): lambda value: value.isoformat(),
}
