"""Locks by name, of which none is left once nobody holds or waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary


class _Lock:
    """What a weak dictionary can hold."""

    def __init__(self) -> None:
        self.lock = threading.RLock()


class Locks:
    """Who holds the lock of a name keeps others of that name waiting, and nobody else."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: WeakValueDictionary[str, _Lock] = WeakValueDictionary()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        with self._guard:
            one = self._locks.get(name)
            if one is None:
                self._locks[name] = one = _Lock()
        with one.lock:
            yield
