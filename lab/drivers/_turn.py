"""Whose turn it is with a device: calls queue, and what is done beside them comes when nobody waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType


class Turn:
    """A lock, entered by `with`, that can also be had only if nobody wants it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = False
        self._waiting = 0
        self._wakes: list[Callable[[], None]] = []

    def __enter__(self) -> None:
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: not self._taken)
            finally:
                self._waiting -= 1
            self._taken = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    @contextmanager
    def spare(self, when_free: Callable[[], None]) -> Iterator[bool]:
        """Whether nobody wants the turn, which then is ours; else ``when_free`` is called when it ends."""
        with self._changed:
            ours = not (self._taken or self._waiting)
            if ours:
                self._taken = True
            else:
                self._wakes.append(when_free)
        try:
            yield ours
        finally:
            if ours:
                self._release()

    def _release(self) -> None:
        with self._changed:
            self._taken = False
            wakes, self._wakes = self._wakes, []
            self._changed.notify()
        for wake in wakes:
            wake()
