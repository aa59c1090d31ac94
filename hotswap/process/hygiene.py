"""What a forked process must leave behind, and what it must make its own, before it runs anything."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import sys
from collections.abc import Collection
from pathlib import Path

_RESET = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU)


def begin_own_life(keep: Collection[int], log: Path) -> None:
    """Make a fork independent of its parent: own session, log and randomness, only the descriptors in ``keep``."""
    os.setsid()
    _redirect(log)
    close_all_but(keep)
    for number in _RESET:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at the terminal is the supervisor's to interpret
    signal.set_wakeup_fd(-1)
    restore_limits()
    reseed()


def close_all_but(keep: Collection[int]) -> None:
    """Close every descriptor not standard and not listed: inherited ones would hide an end-of-file from others."""
    wanted = {0, 1, 2, *keep}
    folder = Path("/proc/self/fd")
    for path in list((folder if folder.exists() else Path("/dev/fd")).iterdir()):
        if int(path.name) not in wanted:
            with contextlib.suppress(OSError):  # the descriptor that listed the folder is gone already
                os.close(int(path.name))


def reseed() -> None:
    """Give a fork random numbers of its own. The module-level generators are the ones siblings would share."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None and "numpy.random" in sys.modules:
        numpy.random.seed()


def limit_memory(megabytes: int) -> None:
    """Set the soft limit of the address space; children can lift it again."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (megabytes * 1024 * 1024, hard))


def restore_limits() -> None:
    """Lift the soft limit that was set for importing, which is not meant for work."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def single_threaded() -> bool:
    """Whether this process may fork: threads do not survive a fork, but the locks they hold do."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) == 1 if tasks.exists() else False


def _redirect(log: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
