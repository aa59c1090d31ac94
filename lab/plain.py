"""Plain data: what BSON carries, so that no process ever has to trust the objects of another."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

import bson
from bson import ObjectId
from bson.errors import BSONError
from pydantic import BaseModel

from lab.results.large_result import LargeResult

Plain = Any
"""Text, bytes, booleans, 64-bit integers, floats, None, datetimes, and lists and text-keyed dictionaries of these."""

MAX_RECORD_BYTES: Final = 12 * 1024 * 1024
"""Documents of MongoDB end at 16 MB, and there is more in a record than its largest part."""

DEEPEST: Final = 100
"""Databases take no more levels, and code that goes through data level by level takes no more either."""

_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1
_NUMPY_TIMES: Final = {"M": "datetime64[us]", "m": "timedelta64[us]"}  # finer ones would turn into bare integers

Store = Callable[[LargeResult], Any]


def way_too_deep(value: Plain, level: int = 0) -> list[str | int] | None:
    """The keys and indexes that lead to what is nested more than `DEEPEST` levels deep, or None."""
    if level > DEEPEST:
        return []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        if (way := way_too_deep(inner, level + 1)) is not None:
            return [key, *way]
    return None


def to_plain(value: object, what: str) -> Plain:
    """Return ``value`` for a call between processes: tuples become lists, NumPy values Python's.

    Raises TypeError, naming ``what`` it is and where inside it, when there is more to it than plain data.
    """
    return _convert(value, what, _strict, 0)


def to_record(value: object, what: str, store: Store | None = None) -> Plain:
    """Return ``value`` for the database: beyond `to_plain`, takes models, dataclasses, sets, paths and the like.

    Keys that are not text become text; ``store`` gives what stands for a large result. Raises TypeError like
    `to_plain`, also for what is too large for a record.
    """

    def reduce(inner: object, where: str) -> object:
        if store is not None and isinstance(inner, LargeResult):
            return store(inner)
        return _generous(inner, where)

    record = _convert(value, what, reduce, 0)
    _check_size(record, what)
    return record


def to_json(value: object, what: str) -> Plain:
    """As `to_record`, with times in ISO 8601. Raises TypeError, also for bytes, NaN and infinity."""
    return _to_json(to_record(value, what), what)


def _to_json(value: Plain, what: str) -> Plain:
    if isinstance(value, dict):
        return {key: _to_json(each, f"{what}[{key!r}]") for key, each in value.items()}
    if isinstance(value, list):
        return [_to_json(each, f"{what}[{index}]") for index, each in enumerate(value)]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value)):
        raise TypeError(f"{what} is {value!r}, which JSON cannot carry; pass it as text.")
    return value


def _check_size(record: Plain, what: str) -> None:
    try:
        size = len(bson.encode({"": record}))
    except (BSONError, OverflowError, UnicodeError) as error:
        raise TypeError(f"{what} cannot be stored: {error}.") from error
    if size > MAX_RECORD_BYTES:
        raise TypeError(_too_large(what, size))


def _too_large(what: str, size: int) -> str:
    return f"{what} has {size} bytes, and a record holds {MAX_RECORD_BYTES}; make its large parts a LargeResult."


_Reduce = Callable[[object, str], object]


def _convert(value: object, what: str, reduce: _Reduce, depth: int) -> Plain:
    if depth > DEEPEST:
        raise TypeError(f"{what} is nested more than {DEEPEST} levels deep; flatten it.")
    value = _reduced(value, what, reduce)
    if isinstance(value, Mapping):
        return _table(value, what, reduce, depth)
    if isinstance(value, list | tuple):
        return [_convert(each, f"{what}[{index}]", reduce, depth + 1) for index, each in enumerate(value)]
    return _scalar(value, what)


def _reduced(value: object, what: str, reduce: _Reduce) -> object:
    """Reduced until that changes nothing: what is inside a model or an enumeration may have to be reduced as well."""
    while type(less := reduce(value, what)) is not type(value):
        value = less
    return less


def _table(value: Mapping[Any, Any], what: str, reduce: _Reduce, depth: int) -> dict[str, Plain]:
    table: dict[str, Plain] = {}
    for key, each in value.items():
        name = _key(key, what, reduce)
        if name in table:
            raise TypeError(f"{what} has two keys that become {name!r}; give each a text of its own.")
        table[name] = _convert(each, f"{what}[{key!r}]", reduce, depth + 1)
    return table


def _scalar(value: object, what: str) -> Plain:
    if value is None or isinstance(value, bool | float | str | bytes):
        return value
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, int):
        if not _INT64_MIN <= value <= _INT64_MAX:
            raise TypeError(f"{what} is {value}, which does not fit 64 bits; pass it as text.")
        return int(value)
    raise TypeError(
        f"{what} is a {type(value).__module__}.{type(value).__qualname__}, which cannot leave its process; "
        "use text, numbers, booleans, None, datetimes, lists or dictionaries."
    )


def _key(key: object, what: str, reduce: _Reduce) -> str:
    key = _reduced(key, what, reduce)
    if isinstance(key, str) and "\0" not in key:
        return key
    if reduce is not _strict and isinstance(key, int | float | date):
        return str(key)
    raise TypeError(f"{what} has the key {key!r}; use text as keys.")


def _strict(value: object, _what: str) -> object:
    if isinstance(value, Enum):
        return value.value
    return _from_numpy(value) if _is_numpy(value) else value


def _generous(value: object, what: str) -> object:
    if _is_numpy(value):
        if (size := int(getattr(value, "nbytes", 0))) > MAX_RECORD_BYTES:
            raise TypeError(_too_large(what, size))  # before it is turned into a list many times its size
        value = _from_numpy(value)
    if isinstance(value, BaseModel):
        return value.model_dump()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value
    if isinstance(value, LargeResult):
        raise TypeError(f"{what} is a LargeResult; only results of tasks have them.")
    for kinds, reduce in _REDUCTIONS.items():
        if isinstance(value, kinds):
            return reduce(value)
    return _strict(value, what)


def _is_numpy(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist")


def _from_numpy(value: Any) -> object:
    kind = value.dtype.kind if hasattr(value, "dtype") else ""
    return (value.astype(_NUMPY_TIMES[kind]) if kind in _NUMPY_TIMES else value).tolist()


def _sorted(values: Any) -> object:
    try:
        return sorted(values)
    except TypeError:  # of different kinds
        return sorted(values, key=repr)


_REDUCTIONS: Final[dict[tuple[type, ...], Callable[[Any], object]]] = {
    (set, frozenset): _sorted,
    (PurePath, ObjectId, UUID): str,
    (timedelta,): timedelta.total_seconds,
    (date, clock_time): lambda value: value.isoformat(),
}
