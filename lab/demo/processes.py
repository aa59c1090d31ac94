"""Which processes belong to one laboratory: those that carry its state folder in their environment or command."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hotswap.process import Identity

_PROC: Final = Path("/proc")
_GRACE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.02


@dataclass(frozen=True)
class Process:
    """A living process and the command it was started with."""

    identity: Identity
    command: str


def belonging_to(state_dir: Path) -> list[Process]:
    """The processes that live now, except this one. The mark is inherited, so no child of the lab escapes.

    Needs ``/proc`` to look into; elsewhere nothing is found.
    """
    return [found for pid in _pids() if (found := _look(pid, os.fsencode(state_dir))) is not None]


def end_all(state_dir: Path) -> list[Process]:
    """End what is left of a laboratory, forcibly after a grace period; returns what had to be ended."""
    ended = found = belonging_to(state_dir)
    number, deadline = signal.SIGTERM, time.monotonic() + _GRACE_SECONDS
    while found:
        for process in found:
            process.identity.signal(number)
        found[0].identity.wait(_LOOK_SECONDS)
        if time.monotonic() > deadline:
            number = signal.SIGKILL
        found = belonging_to(state_dir)
    return ended


def _pids() -> Iterator[int]:
    if _PROC.is_dir():
        yield from (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def _look(pid: int, mark: bytes) -> Process | None:
    if pid == os.getpid():
        return None
    with suppress(OSError):  # it has ended meanwhile, or belongs to somebody else
        command = (_PROC / str(pid) / "cmdline").read_bytes()
        if mark in command or mark in (_PROC / str(pid) / "environ").read_bytes():
            return Process(Identity.of(pid), command.replace(b"\0", b" ").decode(errors="replace").strip())
    return None
