"""The order of things in the database: no task stays pinned to a generation that was over when it was pinned.

Managers that are killed between the pin and the second look at what is current cannot look; so what happened in the
neighbourhood of their deaths, or while nobody watched, proves nothing.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from chaos_lab import ChaosLaboratory
from pymongo.errors import PyMongoError

from hotswap.errors import HotswapError
from lab.records import TaskStatus

_GRACE_SECONDS = 2.0


class Order(threading.Thread):
    """Watches one change stream, in which the changes of all collections come in their order."""

    def __init__(self, lab: ChaosLaboratory) -> None:
        super().__init__(name="order", daemon=True)
        self._lab = lab
        self._ended = threading.Event()
        self._current: int | None = None
        self._stale: dict[str, float] = {}
        self._lock = threading.Lock()
        self._blind: list[float] = []

    def run(self) -> None:
        while not self._ended.wait(0.1):
            try:
                self._watch()
            except (PyMongoError, HotswapError, OSError, ValueError):
                self._current = None  # until it changes the next time, nobody knows
                self._blind.append(time.time())

    def end(self) -> None:
        self._ended.set()
        self.join(15.0)

    def violations(self) -> list[str]:
        """Of tasks that were pinned too late, and not taken back."""
        with self._lock:
            stale = [task for task, at in self._stale.items() if not self._excused(at)]
        return [f"order: task {task} stayed pinned to a generation that was over when it was pinned" for task in stale]

    def excuse(self, at: float) -> None:
        """The managers were killed then."""
        self._blind.append(at)

    def _excused(self, at: float) -> bool:
        return any(abs(at - each) < _GRACE_SECONDS for each in self._blind)

    def _watch(self) -> None:
        wanted = {"$match": {"ns.coll": {"$in": ["tasks", "current_generation"]}}}
        with self._lab.records.database.watch([wanted], max_await_time_ms=500) as stream:
            while not self._ended.is_set():
                event = stream.try_next()
                if event is not None and event["operationType"] == "update":
                    with self._lock:
                        self._take(event["ns"]["coll"], str(event["documentKey"]["_id"]), event["updateDescription"])

    def _take(self, collection: str, name: str, description: dict[str, Any]) -> None:
        fields = description["updatedFields"]
        if collection == "current_generation":
            self._current = fields.get("number", self._current)
        elif fields.get("status") == TaskStatus.READY:
            self._stale.pop(name, None)
        elif fields.get("status") == TaskStatus.INITIATED and self._is_over(fields):
            self._stale[name] = time.time()

    def _is_over(self, fields: dict[str, Any]) -> bool:
        """A task that is retried keeps its pin, whatever is current."""
        return fields["attempt"] == 1 and self._current is not None and fields["pin"]["generation"] < self._current
