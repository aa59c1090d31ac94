"""What a forked process must leave behind, and what it must make its own, before it runs anything."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_IGNORED_BY_PYTHON: Final = {signal.SIGPIPE, signal.SIGXFSZ}
_CATCHABLE: Final = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


def begin_own_life(keep: Collection[int], log: Path) -> None:
    """Make a process independent of its parent: own session, log, signals and randomness, only descriptors to keep."""
    os.setsid()
    _redirect(log)
    close_all_but(keep)
    reset_signals()
    reseed()


def end_with(parent: int) -> None:
    """Have this fork killed when the process with this pid ends, which forked it, where the system can do that.

    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def close_all_but(keep: Collection[int]) -> None:
    """Close every descriptor not standard and not listed: inherited ones would hide an end-of-file from others."""
    wanted = {0, 1, 2, *keep}
    folder = "/proc/self/fd" if Path("/proc/self/fd").exists() else "/dev/fd"
    for descriptor in {int(name) for name in os.listdir(folder)} - wanted:  # noqa: PTH208 - no Path objects are needed
        with contextlib.suppress(OSError):  # the descriptor that listed the folder is gone already
            os.close(descriptor)


def reset_signals() -> None:
    """Handle every signal as a fresh interpreter does and block none, but leave Ctrl-C to whoever has the terminal."""
    signal.set_wakeup_fd(-1)
    for number in _CATCHABLE - _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def reseed() -> None:
    """Give a fork random numbers of its own. The module-level generators are the ones siblings would share."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None and "numpy.random" in sys.modules:
        numpy.random.seed()


@contextmanager
def undone() -> Iterator[None]:
    """Take back, at the end, what code did to the signal handlers, the signal mask and the umask of the process.

    An import that changes them would otherwise change them for every process made afterwards.
    """
    handlers = {number: signal.getsignal(number) for number in _CATCHABLE}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    umask = os.umask(0o077)
    os.umask(umask)
    try:
        yield
    finally:
        os.umask(umask)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _redirect(log: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
