"""Somebody wants a task to end: told once, at the next point where the task uses the laboratory or waits."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lab.errors import TaskCancelled


class Cancellation:
    """Of one task, with its subtasks. ``request`` may come from any thread."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._delivered = False
        self._reason = ""
        self._waiting: set[threading.Event] = set()
        self._lock = threading.Lock()

    def request(self, reason: str) -> None:
        """Have the task raise TaskCancelled soon; later requests change nothing."""
        with self._lock:
            if self._requested.is_set():
                return
            self._reason = reason
            self._requested.set()
            for event in self._waiting:
                event.set()

    def check(self) -> None:
        """Raise TaskCancelled when it is due."""
        if self._requested.is_set() and not self._delivered:
            self._delivered = True
            raise TaskCancelled(self._reason)

    def check_after_call(self) -> None:
        """Like ``check``, but lets clean-up in an ``except`` or ``finally`` block run to its end."""
        if sys.exception() is None:
            self.check()

    def sleep(self, seconds: float) -> None:
        """Wait; raises TaskCancelled as soon as it is due."""
        self.check()
        if self._delivered:
            time.sleep(seconds)
        elif self._requested.wait(seconds):
            self.check()

    @contextmanager
    def waking(self, event: threading.Event) -> Iterator[None]:
        """Set ``event``, too, when a request comes inside the block."""
        with self._lock:
            self._waiting.add(event)
        try:
            yield
        finally:
            with self._lock:
                self._waiting.discard(event)
