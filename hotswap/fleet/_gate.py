"""Lets work in until it is shut, and tells when the last has left."""

from __future__ import annotations

import threading
from types import TracebackType

from hotswap.errors import ProcessError


class Gate:
    """A context manager for everything that may start a process; after ``shut``, entering raises ProcessError."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._open = True

    @property
    def open(self) -> bool:
        return self._open

    def __enter__(self) -> None:
        with self._condition:
            if not self._open:
                raise ProcessError("The fleet is closed and starts nothing; ask the one that runs now.")
            self._inside += 1

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        with self._condition:
            self._inside -= 1
            self._condition.notify_all()

    def shut(self) -> None:
        """Let nobody in any more."""
        with self._condition:
            self._open = False

    def wait_until_empty(self) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._inside == 0)
