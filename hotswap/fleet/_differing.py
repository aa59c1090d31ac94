"""Where two descriptions of one version part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bson

_SHOWN = 40


def first_difference(before: Any, now: Any) -> str | None:
    """The way to the first entry that differs, and both values, as ``told/devices/oven: 1, then 2``; None if none does.

    Both are plain data. The order of a dictionary counts for nothing, that of a list does.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        return _of_entries(before, now, sorted({*before, *now}))
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return _of_entries(dict(enumerate(before)), dict(enumerate(now)), range(len(now)))
    return None if _same(before, now) else f": {_shown(before)}, then {_shown(now)}"


def _of_entries(before: dict[Any, Any], now: dict[Any, Any], keys: Iterable[Any]) -> str | None:
    for key in keys:
        if key not in now:
            return f"{key}, which is missing"
        if key not in before:
            return f"{key}, which is new"
        if (rest := first_difference(before[key], now[key])) is not None:
            return f"{key}{rest}" if rest.startswith(":") else f"{key}/{rest}"
    return None


def _same(before: Any, now: Any) -> bool:
    """As it travels: 1 and 1.0 are not the same, and what is not a number is itself."""
    return bson.encode({"": before}) == bson.encode({"": now})


def _shown(value: Any) -> str:
    told = repr(value)
    return told if len(told) <= _SHOWN else f"{told[:_SHOWN]}..."
