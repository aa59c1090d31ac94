"""What a snapshot may use while it is imported and describes itself, and how it is told which limit it passed.

The limits are soft ones of the operating system, and are taken away again before any worker is made.
"""

from __future__ import annotations

import errno
import math
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType

_MB = 1024 * 1024


class LimitPassed(BaseException):
    """Raised in code that used too much time; no ``Exception``, so that the code does not catch it by accident."""


@dataclass(frozen=True)
class Limits:
    """What a snapshot may use to import and describe itself.

    ``seconds`` of wall time; ``memory_mb`` of address space, in MB of 2^20 bytes; ``cpu_seconds`` of processor time,
    all threads together, None for no such limit; ``open_files`` at the same time.
    """

    seconds: float = 30.0
    memory_mb: int = 8192
    cpu_seconds: int | None = None
    open_files: int = 1024

    @contextmanager
    def imposed(self) -> Iterator[None]:
        """Hold the calling process, and what it forks, to the limits; afterwards all is as before. Main thread only."""
        with ExitStack() as undo:
            _lower(undo, resource.RLIMIT_AS, self.memory_mb * _MB)
            _lower(undo, resource.RLIMIT_NOFILE, self.open_files)
            if self.cpu_seconds is not None:
                _handle(undo, signal.SIGXCPU, f"{self.cpu_seconds} s of processor time")
                _lower(undo, resource.RLIMIT_CPU, math.ceil(time.process_time()) + self.cpu_seconds)
            _handle(undo, signal.SIGALRM, f"{self.seconds:g} s of time")
            undo.callback(signal.setitimer, signal.ITIMER_REAL, 0)
            signal.setitimer(signal.ITIMER_REAL, self.seconds)
            yield


def passed(error: BaseException | None) -> str | None:
    """The limit that an error, or what caused it, tells of, with its value; None when it tells of none.

    To be asked while the limits are imposed.
    """
    while error is not None:
        told = _told(error)
        if told is not None:
            return told
        error = error.__cause__ or error.__context__
    return None


def _told(error: BaseException) -> str | None:
    if isinstance(error, LimitPassed):
        return str(error)
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        return None if soft == resource.RLIM_INFINITY else f"{soft // _MB} MB of memory"
    if number == errno.EMFILE:
        return f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]} open files"
    return None


def _lower(undo: ExitStack, kind: int, value: int) -> None:
    soft, hard = resource.getrlimit(kind)
    undo.callback(resource.setrlimit, kind, (soft, hard))
    bounds = [value, *(bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY)]
    resource.setrlimit(kind, (min(bounds), hard))


def _handle(undo: ExitStack, number: signal.Signals, limit: str) -> None:
    def pass_limit(_number: int, _frame: FrameType | None) -> None:
        raise LimitPassed(limit)

    undo.callback(signal.signal, number, signal.signal(number, pass_limit))
