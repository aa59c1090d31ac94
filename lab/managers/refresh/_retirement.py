"""Retirement: a superseded snapshot loses its workers when no task is pinned to it, its state when nothing needs it.

The state is moved to *closing* first and the references are counted then, so that a task pinned meanwhile is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from hotswap.generations import Generations, SnapshotRecord, SnapshotState
from lab.managers.bus import Bus, Manager
from lab.records import ENDED, PINNED, Records, TaskStatus

_GRACE_SECONDS: Final = 10.0
_NEEDING: Final = [*PINNED, TaskStatus.READY]


class Fleet(Protocol):
    """The part of ``hotswap.fleet.FleetClient`` that is used here."""

    def stop(self, name: str, grace: float) -> object: ...
    def release(self, snapshot: str) -> object: ...


class RetirementManager(Manager):
    """``purge`` deletes the queue of a snapshot by name; ``worker_name`` names its worker process."""

    def __init__(
        self,
        records: Records,
        bus: Bus,
        fleet: Fleet,
        purge: Callable[[str], None],
        worker_name: Callable[[str], str],
    ) -> None:
        super().__init__("retirement manager")
        self._records = records
        self._fleet = fleet
        self._purge = purge
        self._worker_name = worker_name
        self._generations = Generations(records.database)
        self._ended_workers: set[str] = set()
        bus.subscribe("tasks", self.wake, {"status": {TaskStatus.READY, *ENDED}})
        bus.subscribe("devices", self.wake, {"binding"})
        bus.subscribe("current_generation", self.wake)

    def reconcile(self) -> float | None:
        self._revive()
        retiring = self._generations.states.all(SnapshotState.DRAINING, SnapshotState.CLOSING)
        for record in retiring:
            self._retire(record)
        self._ended_workers &= {record.snapshot for record in retiring}
        return None

    def _revive(self) -> None:
        """What was retired and is needed again, because a task of it is retried, is retired again afterwards."""
        needed = self._records.tasks.distinct("pin.snapshot", {"status": {"$in": _NEEDING}})
        for record in self._generations.states.all(SnapshotState.DRAINED):
            if record.snapshot in needed:
                self._generations.states.move(record.snapshot, {SnapshotState.DRAINED}, SnapshotState.DRAINING)

    def _retire(self, record: SnapshotRecord) -> None:
        snapshot = record.snapshot
        states = self._generations.states
        if self._needed_by_tasks(snapshot):
            self._ended_workers.discard(snapshot)
            states.move(snapshot, {SnapshotState.CLOSING}, SnapshotState.DRAINING)
            return
        if snapshot in self._ended_workers and self._bound(snapshot):
            return
        if not states.move(snapshot, {SnapshotState.DRAINING, SnapshotState.CLOSING}, SnapshotState.CLOSING):
            return
        if self._needed_by_tasks(snapshot):
            states.move(snapshot, {SnapshotState.CLOSING}, SnapshotState.DRAINING)
            return
        if snapshot not in self._ended_workers:
            self._end_processes(snapshot)
        state = SnapshotState.DRAINING if self._bound(snapshot) else SnapshotState.DRAINED
        states.move(snapshot, {SnapshotState.CLOSING}, state)

    def _end_processes(self, snapshot: str) -> None:
        self._fleet.stop(self._worker_name(snapshot), _GRACE_SECONDS)
        self._purge(snapshot)
        self._fleet.release(snapshot)
        self._ended_workers.add(snapshot)
        self._records.log("version.retired", snapshot)

    def _needed_by_tasks(self, snapshot: str) -> bool:
        return self._records.tasks.find_one({"pin.snapshot": snapshot, "status": {"$in": _NEEDING}}) is not None

    def _bound(self, snapshot: str) -> bool:
        return self._records.devices.find_one({"binding.snapshot": snapshot}) is not None
