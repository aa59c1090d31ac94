"""What a driver has recorded of its device, again and again, and how it is read back."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import FunctionType
from typing import Any, Final, TypeVar

_Member = TypeVar("_Member", bound=Callable[..., Any] | property)

_MARK: Final = "_logged_signal"


@dataclass(frozen=True)
class Reading:
    """The value that a signal of a device had at a time, in UTC."""

    device: str
    name: str
    value: Any
    at: datetime


@dataclass(frozen=True)
class LoggedSignal:
    """A method or property marked with `log_signal`; ``member`` is what the class calls it."""

    name: str
    interval_seconds: float
    during_calls: bool
    member: str = ""

    def read(self, device: object) -> Any:
        """Ask the device now; whatever the driver raises passes through."""
        value = getattr(device, self.member)
        return value() if callable(value) else value


def log_signal(
    signal_name: str, interval_seconds: float, *, during_calls: bool = False
) -> Callable[[_Member], _Member]:
    """Mark a method or property of a driver that is read, and recorded, every so many seconds while it is connected.

    It is read between two calls of tasks, never during one; with ``during_calls`` also meanwhile, from another
    thread, which the driver then has to be made for. Raises `ValueError` for a name or interval that cannot be.
    """
    if not isinstance(signal_name, str) or not signal_name or "\0" in signal_name:
        raise ValueError(f"{signal_name!r} cannot name a signal: use text")
    if not math.isfinite(interval_seconds) or interval_seconds <= 0:
        raise ValueError(f"signal {signal_name!r} has the interval {interval_seconds!r}: use seconds above 0")
    mark = LoggedSignal(signal_name, float(interval_seconds), during_calls)

    def decorate(member: _Member) -> _Member:
        function = member.fget if isinstance(member, property) else member
        if not isinstance(function, FunctionType):
            raise TypeError(f"log_signal was put on {member!r}: put it on a method or a property")
        vars(function)[_MARK] = mark
        return member

    return decorate


def logged_signals(cls: type[Any]) -> list[LoggedSignal]:
    """The signals of a driver class, in the order of their names."""
    found = []
    for name in dir(cls):
        member = inspect.getattr_static(cls, name)
        function = member.fget if isinstance(member, property) else member
        mark = vars(function).get(_MARK) if isinstance(function, FunctionType) else None
        if isinstance(mark, LoggedSignal):
            found.append(LoggedSignal(mark.name, mark.interval_seconds, mark.during_calls, name))
    return sorted(found, key=lambda signal: signal.name)
