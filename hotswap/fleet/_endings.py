"""Why a process ended, in words, and how long to wait before it is started again."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Final

LONGEST_DELAY_SECONDS: Final = 30.0

_COUNTERS: Final = Path("/proc/vmstat")


def restart_delay(deaths: int) -> float:
    """Seconds to wait after the nth death in a row: none after the first, then doubling up to a limit."""
    return 0.0 if deaths <= 1 else min(LONGEST_DELAY_SECONDS, 0.25 * 2.0 ** min(deaths, 10))


def out_of_memory_kills() -> int:
    """How many processes the kernel has killed for lack of memory since boot; 0 where it does not tell."""
    with contextlib.suppress(OSError):
        for line in _COUNTERS.read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


def in_words(code: int, *, memory_was_short: bool = False) -> str:
    """``exit code 7``, ``signal 9 (SIGKILL)``; ``code`` is negative for a signal."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal
        return f"signal {-code}"
    guess = ", probably by the kernel for lack of memory" if memory_was_short and -code == signal.SIGKILL else ""
    return f"signal {-code} ({name}{guess})"


def reap(pid: int) -> int | None:
    """The exit code of a child that has ended, None if it is not ours: orphans go to the nearest subreaper."""
    with contextlib.suppress(ChildProcessError):
        done, status = os.waitpid(pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if done else None
    return None
