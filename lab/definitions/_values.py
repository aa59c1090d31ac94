"""Values that a device keeps in the database: they outlive connections, restarts and versions of its driver."""

from __future__ import annotations

from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
    ValuesView,
)
from datetime import UTC, datetime
from numbers import Integral, Real
from typing import Any, Final, Generic, Protocol, Self, SupportsIndex, TypeVar, overload

from ._home import Home

_Value = TypeVar("_Value")
_Answer = TypeVar("_Answer")

_INT64: Final = range(-(2**63), 2**63)


class _Housed(Protocol):
    _home: Home


class ValueInDatabase(Generic[_Value]):
    """An attribute of a driver whose value is kept in the database; see `value_in_database`."""

    def __init__(self, name: str, default_value: _Value) -> None:
        self._name = _checked_name(name)
        self._default: _Value = _kept(default_value, self._name)

    @overload
    def __get__(self, device: None, owner: type) -> Self: ...
    @overload
    def __get__(self, device: _Housed, owner: type) -> _Value: ...
    def __get__(self, device: _Housed | None, owner: type) -> Self | _Value:
        if device is None:
            return self
        value: _Value = device._home.read(self._name, self._default)
        return value

    def __set__(self, device: _Housed, value: _Value) -> None:
        device._home.write(self._name, _kept(value, self._name))


def value_in_database(name: str, default_value: _Value) -> ValueInDatabase[_Value]:
    """Make an attribute of a driver class that is kept in the database: ``opened = value_in_database("opened", 0)``.

    It is text, a number, a boolean, bytes, a datetime or None; other values raise `TypeError`. Reading and writing
    ask the database each time. Until it is first written it is ``default_value``.
    """
    return ValueInDatabase(name, default_value)


class _Kept(Generic[_Value]):
    """A list or dictionary under one name; a change reads, alters and writes it, with nobody between."""

    def __init__(self, home: Home, name: str, default: Any) -> None:
        self._home = home
        self._name = _checked_name(name)
        self._default = default

    def _read(self) -> Any:
        return self._home.read(self._name, self._default)

    def _change(self, change: Callable[[Any], _Answer]) -> _Answer:
        return self._home.change(self._name, self._default, change)

    def _check(self, value: Any) -> Any:
        return _kept(value, self._name)

    def __len__(self) -> int:
        return len(self._read())

    def __contains__(self, value: object) -> bool:
        return value in self._read()

    def __eq__(self, other: object) -> bool:
        return bool(self._read() == (other._read() if isinstance(other, _Kept) else other))

    __hash__ = None  # type: ignore[assignment]  # it changes, as a list does

    def __repr__(self) -> str:
        return repr(self._read())

    def clear(self) -> None:
        self._change(lambda kept: kept.clear())


class ListInDatabase(_Kept[_Value], MutableSequence[_Value]):
    """A list that is kept in the database; each use of it asks there. It holds plain values, no lists."""

    def __init__(self, home: Home, name: str, default_value: Iterable[_Value] | None = None) -> None:
        super().__init__(home, name, [_kept(value, name) for value in default_value or ()])

    def __iter__(self) -> Iterator[_Value]:
        return iter(self._read())

    @overload
    def __getitem__(self, index: int) -> _Value: ...
    @overload
    def __getitem__(self, index: slice) -> list[_Value]: ...
    def __getitem__(self, index: int | slice) -> _Value | list[_Value]:
        found: _Value | list[_Value] = self._read()[index]
        return found

    @overload
    def __setitem__(self, index: int, value: _Value) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[_Value]) -> None: ...
    def __setitem__(self, index: int | slice, value: Any) -> None:
        checked = [self._check(each) for each in value] if isinstance(index, slice) else self._check(value)
        self._change(lambda kept: kept.__setitem__(index, checked))

    def __delitem__(self, index: int | slice) -> None:
        self._change(lambda kept: kept.__delitem__(index))

    def insert(self, index: SupportsIndex, value: _Value) -> None:
        checked = self._check(value)
        self._change(lambda kept: kept.insert(index, checked))

    def append(self, value: _Value) -> None:
        self.extend([value])

    def extend(self, values: Iterable[_Value]) -> None:
        checked = [self._check(value) for value in values]
        self._change(lambda kept: kept.extend(checked))

    def pop(self, index: SupportsIndex = -1) -> _Value:
        value: _Value = self._change(lambda kept: kept.pop(index))
        return value

    def remove(self, value: _Value) -> None:
        self._change(lambda kept: kept.remove(value))

    def reverse(self) -> None:
        self._change(lambda kept: kept.reverse())

    def sort(self, *, key: Callable[[_Value], Any] | None = None, reverse: bool = False) -> None:
        self._change(lambda kept: kept.sort(key=key, reverse=reverse))


class DictInDatabase(_Kept[_Value], MutableMapping[str, _Value]):
    """A dictionary that is kept in the database; each use of it asks there. Keys are text, values are plain."""

    def __init__(self, home: Home, name: str, default_value: Mapping[str, _Value] | None = None) -> None:
        super().__init__(home, name, {})
        self._default = self._checked(default_value or {})

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __getitem__(self, key: str) -> _Value:
        value: _Value = self._read()[key]
        return value

    def __setitem__(self, key: str, value: _Value) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        self._change(lambda kept: kept.__delitem__(key))

    def update(self, *others: Any, **values: Any) -> None:
        checked = self._checked(dict(*others, **values))
        self._change(lambda kept: kept.update(checked))

    def items(self) -> ItemsView[str, _Value]:
        return ItemsView(self._read())  # one look at the database, not one per key

    def values(self) -> ValuesView[_Value]:
        return ValuesView(self._read())

    def _checked(self, values: Mapping[str, _Value]) -> dict[str, _Value]:
        for key in values:
            if not isinstance(key, str) or "\0" in key:
                raise TypeError(f"the dictionary {self._name!r} was given the key {key!r}: use text as keys")
        return {key: self._check(value) for key, value in values.items()}


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError(f"{name!r} cannot name a value in the database: use text")
    return name


def _kept(value: Any, name: str) -> Any:
    """The value as the database keeps it: numbers of NumPy become Python's, times without a zone count as UTC."""
    if value is None or isinstance(value, bool | str | bytes):
        return value
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, Integral) and int(value) in _INT64:
        return int(value)
    if isinstance(value, Real) and not isinstance(value, Integral):
        return float(value)
    raise TypeError(
        f"{name!r} was given {value!r}: keep text, numbers that fit 64 bits, booleans, bytes, datetimes or None; "
        "several of them go into list_in_database or dict_in_database"
    )
