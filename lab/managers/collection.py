"""Collection: snapshots that nothing refers to any more leave the lab's store, once a day and when a person asks.

A snapshot whose code a task ever ran is referred to by that task's record, so that the code behind a sample can be
fetched back; only ``[snapshots] keep_days`` lets such references end.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any, Final

from hotswap.generations import Generations, SnapshotState
from hotswap.store import Decision, Retention, Store
from lab.managers.bus import Manager
from lab.records import ENDED, Document, ExperimentStatus, Records, now
from lab.settings.config import Snapshots

_DAY_SECONDS: Final = 86_400.0
_ON_THE_WAY: Final = frozenset(SnapshotState) - {SnapshotState.DRAINED, SnapshotState.REJECTED, SnapshotState.STAGED}


class CollectionManager(Manager):
    """Collects at its start and then daily."""

    def __init__(self, records: Records, store: Store, settings: Snapshots) -> None:
        super().__init__("collection manager")
        self._records = records
        self._store = store
        self._settings = settings
        self._generations = Generations(records.database)
        self._lock = threading.Lock()

    def reconcile(self) -> float | None:
        self.collect()
        return _DAY_SECONDS

    def collect(self, *, dry_run: bool = False) -> list[Document]:
        """What is done with each snapshot and why, as ``{snapshot, keep, reason, size}``; size in bytes."""
        with self._lock:
            decisions = self._store.collect(self.references(), self._retention(), dry_run=dry_run)
            if not dry_run:
                self._forget([each for each in decisions if not each.keep])
        return [_plain(each) for each in decisions]

    def references(self) -> dict[str, str]:
        """Each snapshot that something refers to, and what does."""
        found: dict[str, str] = dict.fromkeys(self._tasks_code(), "tasks ran it")
        for generation in self._generations.history(self._settings.keep_generations):
            found[generation.snapshot] = f"generation {generation.number} can be rolled back to"
        for record in self._generations.states.all(*_ON_THE_WAY):
            found[record.snapshot] = f"it is {record.state}"
        for device in self._records.devices.find({"binding": {"$ne": None}}, {"binding.snapshot": 1}):
            assert device["binding"] is not None
            found[device["binding"]["snapshot"]] = f"{device['_id']} is bound to it"
        for snapshot in self._records.experiments.distinct("pin.snapshot", {"status": ExperimentStatus.RUNNING}):
            if snapshot:
                found[snapshot] = "experiments that run are pinned to it"
        for snapshot in self._pins({"status": {"$nin": list(ENDED)}}):
            found[snapshot] = "unfinished tasks are pinned to it"
        return found

    def _tasks_code(self) -> set[str]:
        days = self._settings.keep_days
        if days is None:
            return self._pins({})
        return self._pins({"ended_at": {"$gte": now() - timedelta(days=days)}})

    def _pins(self, query: dict[str, Any]) -> set[str]:
        """Snapshots that these tasks are pinned to, or ran in an earlier attempt."""
        tasks = self._records.tasks
        return {name for key in ("pin.snapshot", "attempts.snapshot") for name in tasks.distinct(key, query) if name}

    def _retention(self) -> Retention:
        return Retention(keep_last=self._settings.keep_generations)

    def _forget(self, collected: list[Decision]) -> None:
        for each in collected:
            self._generations.states.forget(each.snapshot)
            self._records.log("version.collected", each.snapshot, reason=each.reason, size=each.size)


def _plain(decision: Decision) -> Document:
    return {
        "snapshot": decision.snapshot,
        "keep": decision.keep,
        "reason": decision.reason,
        "size": decision.size,
    }
