"""Which documents changed since somebody looked last."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

REREAD_SECONDS: Final = 600.0


@dataclass(frozen=True)
class Changed:
    """Ids by collection. ``everything``: changes may have been missed, so all documents have to be read."""

    everything: bool = False
    ids: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def of(self, collection: str) -> frozenset[str]:
        return self.ids.get(collection, frozenset())


class Changes:
    """Filled by the bus, on its thread; emptied by the manager that reads the documents.

    Everything counts as changed at first, and when that was so ``reread`` seconds ago: whatever went wrong meanwhile is
    put right then.
    """

    def __init__(self, reread: float = REREAD_SECONDS) -> None:
        self._reread = reread
        self._read_at = 0.0
        self._lock = threading.Lock()
        self._everything = True
        self._ids: defaultdict[str, set[str]] = defaultdict(set)

    def note(self, collection: str, key: str) -> None:
        with self._lock:
            self._ids[collection].add(key)

    def note_everything(self) -> None:
        with self._lock:
            self._everything = True

    def take(self) -> Changed:
        """All that was noted; it is forgotten here."""
        with self._lock:
            everything = self._everything or time.monotonic() - self._read_at >= self._reread
            if everything:
                self._read_at = time.monotonic()
            taken = Changed(everything, {name: frozenset(ids) for name, ids in self._ids.items()})
            self._everything = False
            self._ids.clear()
        return taken
