"""Methods that the runtime calls, with arguments of its own: whether those of a class can be called like that."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import FunctionType
from typing import Any, Final

from hotswap.errors import DescribeError

from ._location import Location, blame, defined_at

DEVICE_CALLS: Final[Mapping[str, int]] = {
    "connect": 0,
    "disconnect": 0,
    "is_running": 0,
    "check_health": 0,
    "emergency_stop": 0,
    "export_state": 0,
    "import_state": 1,
    "verify_state": 1,
}
TASK_CALLS: Final[Mapping[str, int]] = {"run": 0, "validate": 0}
"""How many arguments each is called with."""


def check_calls(cls: type[Any], calls: Mapping[str, int], where: Location) -> None:
    """Raise `DescribeError` for the first method that the runtime could not call; at ``where`` if no line is known."""
    for name, count in calls.items():
        if (reason := _complaint(cls, name, count)) is not None:
            raise _refusal(cls, name, f"{reason}: it is called {_NUMBERS[count]}", where)


_NUMBERS: Final = ("without arguments", "with one argument")


def _complaint(cls: type[Any], name: str, count: int) -> str | None:
    member = inspect.getattr_static(cls, name)
    method = member.__get__(object(), cls) if isinstance(member, FunctionType | classmethod | staticmethod) else member
    if not callable(method):
        return "is no method"
    try:
        inspect.signature(method).bind(*[None] * count)
    except TypeError as error:
        return f"cannot be called ({error})"
    return None


def _refusal(cls: type[Any], name: str, reason: str, where: Location) -> DescribeError:
    member = inspect.getattr_static(cls, name)
    line = defined_at(member) if isinstance(member, FunctionType) else None
    return blame(line or where, f"{name} of {cls.__name__} {reason}")
