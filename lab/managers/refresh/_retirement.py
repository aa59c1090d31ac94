"""Retirement: a superseded snapshot loses its workers when no task is pinned to it, its state when nothing needs it.

The state is moved to *closing* first and the references are counted then, so that a task pinned meanwhile is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hotswap.generations import Generations, SnapshotRecord, SnapshotState
from lab.managers.bus import Bus, Manager
from lab.records import ENDED, NEEDING, Records, TaskStatus

_RETRY_SECONDS: Final = 1.0
_SEEMS_UNUSED: Final = (SnapshotState.DRAINED, SnapshotState.STAGED, SnapshotState.REJECTED)


class RetirementManager(Manager):
    """``end_worker`` ends the worker of a snapshot, and what only that needs, unless it runs tasks; whether it did."""

    def __init__(self, records: Records, bus: Bus, end_worker: Callable[[str], bool]) -> None:
        super().__init__("retirement manager", pause=1.0)
        self._records = records
        self._end_worker = end_worker
        self._generations = Generations(records.database)
        self._ended_workers: set[str] = set()
        bus.subscribe("tasks", self.wake, {"status": {TaskStatus.READY, *ENDED}})
        bus.subscribe("devices", self.wake, {"binding", "rebind_to"})
        bus.subscribe("current_generation", self.wake)

    def start(self) -> None:
        self.repair()
        super().start()

    def repair(self) -> None:
        """Make good what a crash left: a snapshot that something refers to is on its way out, not gone, nor staged.

        A promotion stages the snapshot again before it moves the pointer, so this is for a time when none is under way.
        """
        states = self._generations.states
        for record in states.all(*_SEEMS_UNUSED):
            if self._needed_by_tasks(record.snapshot) or self._bound(record.snapshot):
                states.move(record.snapshot, {record.state}, SnapshotState.DRAINING, retired=None)

    def reconcile(self) -> float | None:
        self._revive()
        self._unstrand()
        retiring = self._generations.states.all(SnapshotState.DRAINING, SnapshotState.CLOSING)
        settled = [self._retire(record) for record in retiring]
        self._ended_workers &= {record.snapshot for record in retiring}
        return None if all(settled) else _RETRY_SECONDS

    def _revive(self) -> None:
        """Whoever refers to a snapshot says that it is needed; this is for one who did not live to say so."""
        for record in self._generations.states.all(SnapshotState.DRAINED):
            if self._needed_by_tasks(record.snapshot) or self._bound(record.snapshot):
                self._generations.states.move(
                    record.snapshot, {SnapshotState.DRAINED}, SnapshotState.DRAINING, retired=None
                )

    def _unstrand(self) -> None:
        """Work that was stranded and is cancelled needs its snapshot no longer."""
        for record in self._generations.states.all(SnapshotState.STRANDED):
            if not self._needed_by_tasks(record.snapshot):
                self._generations.states.move(record.snapshot, {SnapshotState.STRANDED}, SnapshotState.DRAINING)

    def _retire(self, record: SnapshotRecord) -> bool:
        """Take a snapshot as far as it can go now; False to try again without an event."""
        snapshot = record.snapshot
        states = self._generations.states
        if self._needed_by_tasks(snapshot):
            self._ended_workers.discard(snapshot)
            states.move(snapshot, {SnapshotState.CLOSING}, SnapshotState.DRAINING)
            return True
        if snapshot in self._ended_workers and self._bound(snapshot):
            return True
        if not states.move(snapshot, {SnapshotState.DRAINING, SnapshotState.CLOSING}, SnapshotState.CLOSING):
            return True
        needed = self._needed_by_tasks(snapshot)
        ended = not needed and self._end_processes(record)
        state = SnapshotState.DRAINED if ended and not self._bound(snapshot) else SnapshotState.DRAINING
        told = {"retired": record.facts.get("generation")} if ended else {}
        states.move(snapshot, {SnapshotState.CLOSING}, state, **told)
        return needed or ended

    def _end_processes(self, record: SnapshotRecord) -> bool:
        """False while its worker runs a task after all: one that was dispatched since the tasks were counted."""
        snapshot = record.snapshot
        if snapshot in self._ended_workers:
            return True
        if not self._end_worker(snapshot):
            return False
        self._ended_workers.add(snapshot)
        if record.facts.get("retired") != record.facts.get("generation"):  # else told before these managers started
            self._records.log("version.retired", snapshot)
        return True

    def _needed_by_tasks(self, snapshot: str) -> bool:
        return self._records.tasks.find_one({"pin.snapshot": snapshot, "status": {"$in": list(NEEDING)}}) is not None

    def _bound(self, snapshot: str) -> bool:
        """Also to be bound: who moves a device says where to before it connects anything."""
        bound: dict[str, Any] = {"$or": [{"binding.snapshot": snapshot}, {"rebind_to": snapshot}]}
        return self._records.devices.find_one(bound) is not None
