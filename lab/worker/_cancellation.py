"""Somebody wants a task to end: told once, at the next point where the task uses the laboratory or waits."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lab.errors import TaskCancelled


class Cancellation:
    """Of one task, with its subtasks. ``request`` and ``take_away`` may come from any thread."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._taken = threading.Event()
        self._delivered = False
        self._reason = ""
        self._waiting: set[threading.Event] = set()
        self._cuts: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    @property
    def taken(self) -> bool:
        """Whether the task is not this worker's any more."""
        return self._taken.is_set()

    @property
    def due(self) -> bool:
        """Whether the task was not told yet what it should be told."""
        return self._requested.is_set() and not self._delivered

    def request(self, reason: str) -> bool:
        """Have the task raise TaskCancelled soon; False, and nothing changes, when that was asked for before."""
        with self._lock:
            if self._requested.is_set():
                return False
            self._reason = reason
            self._requested.set()
            for event in self._waiting:
                event.set()
            return True

    def take_away(self, reason: str) -> None:
        """From now on all that the task does with the laboratory raises TaskCancelled; what it waits for is cut off."""
        self.request(reason)
        with self._lock:
            if self._taken.is_set():
                return
            self._reason = reason
            self._taken.set()
            cuts = [event.set for event in self._waiting] + self._cuts
        for cut in cuts:
            cut()

    def check(self) -> None:
        """Raise TaskCancelled when it is due."""
        if self.due or self.taken:
            self._delivered = True
            raise TaskCancelled(self._reason)

    def check_after_call(self, *, cleaning_up: bool) -> None:
        """Like ``check``, but lets clean-up run to its end while the task is this worker's."""
        if self.taken or not cleaning_up:
            self.check()

    def tell(self, way: Callable[[], bool]) -> None:
        """Tell the task in another way, if it is due; ``way`` returns whether it was told."""
        with self._lock:
            if self.due and way():
                self._delivered = True

    def sleep(self, seconds: float) -> None:
        """Wait; raises TaskCancelled as soon as it is due."""
        self.check()
        if (self._taken if self._delivered else self._requested).wait(seconds):
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

    @contextmanager
    def cutting(self, cut: Callable[[], None]) -> Iterator[None]:
        """Call ``cut``, which ends a wait of the task, when the task is taken away inside the block."""
        with self._lock:
            self._cuts.append(cut)
        try:
            self.check_after_call(cleaning_up=True)
            yield
        finally:
            with self._lock:
                self._cuts.remove(cut)


def cleaning_up() -> bool:
    """Whether the caller runs in an ``except`` block, or in what an exception runs on its way."""
    return sys.exception() is not None
