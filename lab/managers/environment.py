"""Other distributions than code was frozen with: noticed, told, and what they leave stranded.

Nothing is forked from a snapshot whose environment is not the one installed. What is at work goes on; pinned work that
no worker can take is *stranded* until its environment is back, or somebody cancels it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from hotswap import drift
from hotswap.environment import EnvironmentChange, outside_runtime
from hotswap.errors import HotswapError
from hotswap.generations import Generations, SnapshotState
from hotswap.store import Store
from lab.managers.bus import Bus, Manager
from lab.records import NEEDING, UNDECIDED, Document, Records

Changes = tuple[EnvironmentChange, ...]
Drift = Callable[[str], Changes]

_LOOK_SECONDS: Final = 10.0

log = logging.getLogger(__name__)


def drift_in(store: Store) -> Drift:
    """Tells what is installed otherwise than a snapshot of ``store`` was frozen with; costs milliseconds.

    Nothing, where the store cannot tell: what is damaged says so when it is to run.
    """
    opened = lru_cache(maxsize=16)(store.open)  # which looks at every file of the tree

    def changed(snapshot: str) -> Changes:
        try:
            return outside_runtime(drift.drift(store, opened(snapshot)))
        except HotswapError as error:
            log.warning("What code version %s was frozen with cannot be told: %s", snapshot[:12], error)
            return ()

    return changed


def told(changes: Changes) -> list[list[str | None]]:
    """As plain data: ``[name, before, after]``."""
    return [[one.name, one.before, one.after] for one in changes]


class EnvironmentManager(Manager):
    """Looks at what is installed every few seconds; ``changes`` is how that differs from what current code expects."""

    def __init__(self, records: Records, bus: Bus, changed: Drift) -> None:
        super().__init__("environment manager", pause=0.2)
        self._records = records
        self._generations = Generations(records.database)
        self._changed = changed
        self.changes: Changes = ()
        bus.subscribe("tasks", self.wake, {"status": set(UNDECIDED)})
        bus.subscribe("workers", self.wake, {"capacity"})
        bus.subscribe("current_generation", self.wake)

    def reconcile(self) -> float:
        self._notice()
        for record in self._generations.states.all(SnapshotState.DRAINING, SnapshotState.STRANDED):
            self._look_after(record.snapshot, stranded=record.state is SnapshotState.STRANDED)
        return _LOOK_SECONDS

    def _notice(self) -> None:
        """Tell once when what current code was frozen with is no longer installed, and when it is again."""
        current = self._generations.current()
        changes = () if current is None else self._changed(current.snapshot)
        if current is None or changes == self.changes:
            return
        self.changes = changes
        if changes:
            named = ", ".join(map(str, changes))
            log.warning("The environment has changed under generation %d: %s.", current.number, named)
            self._records.log("environment.changed", str(current.number), changes=told(changes))
        else:
            self._records.log("environment.restored", str(current.number))

    def _look_after(self, snapshot: str, *, stranded: bool) -> None:
        tasks = self._waiting(snapshot)
        changes = self._changed(snapshot) if tasks else ()
        if changes and not stranded:
            self._strand(snapshot, tasks, changes)
        elif stranded and not changes:
            self._free(snapshot)

    def _waiting(self, snapshot: str) -> list[str]:
        """The unfinished tasks that are pinned to it, unless a worker of it takes them."""
        if self._records.workers.find_one({"snapshot": snapshot, "capacity": {"$gt": 0}}) is not None:
            return []
        needing = {"pin.snapshot": snapshot, "status": {"$in": list(NEEDING)}, "parent": None}
        return [task["_id"] for task in self._records.tasks.find(needing, {"_id": 1}, sort=[("_id", 1)])]

    def _strand(self, snapshot: str, tasks: list[str], changes: Changes) -> None:
        facts: Document = {"environment": told(changes)}
        states = self._generations.states
        if not states.move(snapshot, {SnapshotState.DRAINING}, SnapshotState.STRANDED, **facts):
            return
        log.warning(
            "Work of code version %s is stranded (%s): %s. Install again what it was frozen with, or cancel it.",
            snapshot[:12],
            ", ".join(map(str, changes)),
            ", ".join(tasks),
        )
        self._records.log("snapshot.stranded", snapshot, tasks=tasks, **facts)

    def _free(self, snapshot: str) -> None:
        if self._generations.states.move(snapshot, {SnapshotState.STRANDED}, SnapshotState.DRAINING):
            self._records.log("snapshot.freed", snapshot)
