"""Disks that fail at a chosen step, processes that die there, and what a disk may have forgotten after a crash.

The store changes the disk only through the functions of ``hotswap._disk``; each call of one is a *step* here.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hotswap import _disk

STEPS = (
    *("write", "copy", "link", "rename", "mkdir", "chmod", "unlink", "rmdir", "touch", "backdate"),
    *("fsync", "sync", "open_lock"),
)
"""The functions that are one step each; the others in the module are made of them."""


Interruption = Callable[[str, Callable[[], Any], tuple[Any, ...]], Any]
"""Called with the name of a step, what does it, and its arguments."""


@contextmanager
def intercepted(interrupt: Interruption) -> Iterator[None]:
    """Hand every step to ``interrupt``, which does it or not."""

    def wrapped(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, **named: interrupt(name, lambda: step(*arguments, **named), arguments)

    with patch.multiple(_disk, **{name: wrapped(name, getattr(_disk, name)) for name in STEPS}):
        yield


@contextmanager
def unhurried() -> Iterator[None]:
    """Do not wait for the disk: where the end of a process is tested, not that of the machine."""
    with patch.multiple(_disk, fsync=lambda path: None, sync=lambda path: None):
        yield


WHENS = ("before", "amid", "after")


class Strike:
    """An interruption before, after or amid the step with a number; only steps that write have a middle."""

    def __init__(self, when: str, number: int, strike: Callable[[], None]) -> None:
        self.struck = False
        self._when = when
        self._number = number
        self._strike = strike
        self._seen = 0

    def __call__(self, name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
        if self._when == "amid" and name not in {"write", "copy"}:
            return do()
        number, self._seen = self._seen, self._seen + 1
        if number != self._number:
            return do()
        if self._when == "after":
            do()
        elif self._when == "amid":
            _do_half(name, arguments)
        self.struck = True
        self._strike()
        raise AssertionError("a strike does not return")


def failing(when: str, number: int, error: int) -> Strike:
    """One step fails with the error number ``error``, and the ones after it do not."""

    def refuse() -> None:
        raise OSError(error, os.strerror(error))

    return Strike(when, number, refuse)


def killing(when: str, number: int) -> Strike:
    """The process is killed at one step."""
    return Strike(when, number, lambda: os.kill(os.getpid(), signal.SIGKILL))


class PowerCut(BaseException):
    """Stands for the end of the process, where there is only one: nothing is done any more, not even tidying up."""


class Cutting(Strike):
    """The power goes at one step, and stays away."""

    def __init__(self, when: str, number: int) -> None:
        super().__init__(when, number, self._cut)

    def __call__(self, name: str, do: Callable[[], Any], arguments: tuple[Any, ...]) -> Any:
        if self.struck:
            raise PowerCut
        return super().__call__(name, do, arguments)

    @staticmethod
    def _cut() -> None:
        raise PowerCut


def _do_half(name: str, arguments: tuple[Any, ...]) -> None:
    """What a write leaves that was cut short."""
    path, torn = (arguments[0], arguments[1][: len(arguments[1]) // 2]) if name == "write" else (arguments[1], b"")
    Path(path).write_bytes(torn)
