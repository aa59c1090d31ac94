"""Which process is meant, even after its number was given to another one.

A process is named by boot id, pid and start time (``/proc/<pid>/stat``, field 22, in clock ticks since
boot). Signals go through a pidfd, so that they cannot reach a successor.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final

_THREADS_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Identity:
    """One process of one boot of one host."""

    pid: int
    start_time: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> Identity:
        """The process that has ``pid`` now. Raises ProcessLookupError when there is none."""
        return cls(pid, _start_time(pid), boot_id())

    @classmethod
    def mine(cls) -> Identity:
        return cls.of(os.getpid())

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> Identity:
        return cls(int(str(data["pid"])), int(str(data["start_time"])), str(data["boot_id"]))

    def to_dict(self) -> dict[str, object]:
        return asdict(self)

    def alive(self) -> bool:
        """Whether this very process still runs; a zombie counts as dead."""
        if self.boot_id != boot_id():
            return False
        try:
            return _start_time(self.pid) == self.start_time
        except ProcessLookupError:
            return False

    def signal(self, number: int) -> bool:
        """Send a signal to this very process; False when it is gone."""
        descriptor = self.open()
        if descriptor is None:
            return False
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True

    def kill(self) -> bool:
        return self.signal(signal.SIGKILL)

    def wait(self, timeout: float | None) -> bool:
        """Wait until it has ended with all its threads, ``timeout`` seconds at most; whether it has."""
        descriptor = self.open()
        if descriptor is not None:
            try:
                with selectors.DefaultSelector() as selector:
                    selector.register(descriptor, selectors.EVENT_READ)
                    if not selector.select(timeout):
                        return False
            finally:
                os.close(descriptor)
        _let_threads_end(self)
        return True

    def open(self) -> int | None:
        """A pidfd of this very process for the caller to close, or None when it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.alive():
            return descriptor
        os.close(descriptor)
        return None


class DeathWatch:
    """Calls back when a process ends: one thread for any number of processes, and no polling."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._pending: list[tuple[Identity, Callable[[], None]]] = []
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="death-watch", daemon=True)
        self._thread.start()

    def watch(self, identity: Identity, on_death: Callable[[], None]) -> None:
        """Call ``on_death`` once, from the watching thread, when the process ends or is gone already."""
        with self._lock:
            self._pending.append((identity, on_death))
        os.write(self._wake_write, b"x")

    def close(self) -> None:
        """Watch no more; again is no harm."""
        if self._closed:
            return
        self._closed = True
        os.write(self._wake_write, b"x")
        self._thread.join()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _run(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select():
                if key.fd == self._wake_read:
                    os.read(self._wake_read, 4096)
                    self._admit()
                else:
                    self._selector.unregister(key.fd)
                    os.close(key.fd)
                    identity, on_death = key.data
                    _let_threads_end(identity)
                    _tell(on_death)
        for descriptor in [key.fd for key in self._selector.get_map().values() if key.fd != self._wake_read]:
            os.close(descriptor)

    def _admit(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, []
        for identity, on_death in pending:
            descriptor = identity.open()
            if descriptor is None:
                _tell(on_death)
            else:
                self._selector.register(descriptor, selectors.EVENT_READ, (identity, on_death))


def _let_threads_end(identity: Identity) -> None:
    """Wait for what a process that ended holds: its threads may keep files and locks for some milliseconds more."""
    deadline = time.monotonic() + _THREADS_SECONDS
    with contextlib.suppress(OSError):
        while _stat(identity.pid)[1] == identity.start_time and time.monotonic() < deadline:
            if len(os.listdir(f"/proc/{identity.pid}/task")) <= 1:  # noqa: PTH208 - they are only counted
                return
            time.sleep(0.001)


def _tell(on_death: Callable[[], None]) -> None:
    try:
        on_death()
    except Exception:  # whatever it raises, the deaths of the others must still be told
        log.exception("What was to be done after a death failed")


@cache
def boot_id() -> str:
    """A name of this boot of this host that no other boot has."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else f"{os.uname().nodename}-{time.time() - time.monotonic():.0f}"


def _start_time(pid: int) -> int:
    state, start_time = _stat(pid)
    if state in "ZX":
        raise ProcessLookupError(pid)
    return start_time


def _stat(pid: int) -> tuple[str, int]:
    """State and start time of a process, zombies included. Raises ProcessLookupError."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    fields = stat.rpartition(b")")[2].split()  # before it is the name, which may be any bytes
    return fields[0].decode(), int(fields[19])
