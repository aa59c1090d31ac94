"""Plain data from elsewhere, taken field by field: what is missing, or not what it should be, is told by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hotswap.errors import ManifestError

_DIGEST = re.compile(r"[0-9a-f]{64}").fullmatch
_YEARS = range(1900, 9999)  # all of these exist in every time zone
_SHOWN = 60


class Fields:
    """The fields of ``data``; ``what`` is what it is called in errors. Every method raises ``ManifestError``."""

    def __init__(self, data: object, what: str) -> None:
        if not isinstance(data, Mapping):
            raise wrong(what, data, "an object")
        self._data = data
        self._what = what

    def value(self, name: str) -> object:
        """Whatever there is, as long as it is there."""
        if name not in self._data:
            raise ManifestError(f"{self._what} has no field {name!r}")
        return self._data[name]

    def text(self, name: str) -> str:
        """A string that can be written as UTF-8."""
        value = self.value(name)
        if not isinstance(value, str) or not is_text(value):
            raise wrong(self._named(name), value, "text")
        return value

    def text_or_none(self, name: str) -> str | None:
        """As ``text``, or null."""
        return None if self.value(name) is None else self.text(name)

    def digest(self, name: str) -> str:
        """A blake3."""
        value = self.text(name)
        if not is_digest(value):
            raise wrong(self._named(name), value, "64 hexadecimal digits")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.value(name)
        if not isinstance(value, bool):
            raise wrong(self._named(name), value, "true or false")
        return value

    def items(self, name: str) -> list[Any]:
        """A list of anything."""
        value = self.value(name)
        if not isinstance(value, list):
            raise wrong(self._named(name), value, "a list")
        return value

    def moment(self, name: str) -> datetime:
        """A time with its zone, in ISO 8601."""
        told = self.text(name)
        try:
            value = datetime.fromisoformat(told)
        except ValueError:
            value = datetime.min  # in no zone, hence refused below
        if value.tzinfo is None or value.year not in _YEARS:
            raise wrong(self._named(name), told, "a time with its zone in ISO 8601")
        return value

    def moment_or_none(self, name: str) -> datetime | None:
        """As ``moment``, or null."""
        return None if self.value(name) is None else self.moment(name)

    def known(self, name: str, format: int, what: str) -> None:  # noqa: A002 - it is the word for it
        """Nothing, if the field is the number ``format``: the only one that this version of ``what`` reads."""
        value = self.value(name)
        if not is_number(value) or value != format:
            raise ManifestError(
                f"{what} has format {_shown(value)} and this version of hotswap reads format {format} (upgrade it)"
            )

    def _named(self, name: str) -> str:
        return f"{name!r} of {self._what}"


def is_text(value: object) -> bool:
    """Whether ``value`` is a string that can be written as UTF-8."""
    return isinstance(value, str) and (value.isascii() or _is_utf8(value))


def is_digest(value: object) -> bool:
    """Whether ``value`` is a blake3 as we write it."""
    return isinstance(value, str) and _DIGEST(value) is not None


def is_number(value: object) -> bool:
    """Whether ``value`` is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def wrong(what: str, value: object, wanted: str) -> ManifestError:
    """The error for a value that is not what is wanted."""
    return ManifestError(f"{what} is {_shown(value)} instead of {wanted}")


def _shown(value: object) -> str:
    """A few characters of a value; containers, which may be endless, by their kind."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, int) and abs(value) >= 1 << 64:
        return "a huge number"
    told = ascii(value)
    return told if len(told) <= _SHOWN else f"{told[:_SHOWN]}..."


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
