"""Workers: each snapshot that has something to do has a live one, and what a dead one left behind is LOST."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from hotswap.process import DeathWatch, Identity
from lab.catalog import Catalog
from lab.managers.bus import Bus, Manager
from lab.managers.changes import REREAD_SECONDS
from lab.managers.claims import take
from lab.managers.isolation import end_killed, was_killed
from lab.managers.tasks import Current
from lab.records import CLAIMED, Document, Records, Task, TaskStatus, Worker

_RETRY_SECONDS: Final = 1.0
_LONGEST_RETRY: Final = 30.0

log = logging.getLogger(__name__)


class WorkerManager(Manager):
    """``ensure`` starts the worker process of a snapshot, or finds it running; it may take seconds and may raise."""

    def __init__(
        self,
        records: Records,
        catalog: Catalog,
        bus: Bus,
        watch: DeathWatch,
        current: Current,
        ensure: Callable[[str], None],
    ) -> None:
        super().__init__("worker manager", pause=0.25)
        self._records = records
        self._catalog = catalog
        self._watch = watch
        self._current = current
        self._ensure = ensure
        self._watched: set[str] = set()
        self._dead: set[str] = set()
        self._starting: dict[str, threading.Thread] = {}
        self._refusals: dict[str, int] = {}
        self._reasons: dict[str, str] = {}
        self._names: set[str] = set()
        self._missing: set[str] = set()
        bus.subscribe("workers", self.wake, {"capacity"}, self._changes)
        bus.subscribe("tasks", self.wake, {"status": {TaskStatus.READY, TaskStatus.INITIATED}}, self._changes)
        bus.subscribe("current_generation", self.wake)

    def reconcile(self) -> float | None:
        changed = self._changes.take()
        workers = self._living()
        names = {worker["_id"] for worker in workers}
        everything = changed.everything or bool(changed.of("workers"))
        if everything or not names >= self._names:
            workers = self._lose_orphans()
            names = {worker["_id"] for worker in workers}
        self._names = names
        needed = self._needed({} if everything or self._missing else {"_id": {"$in": sorted(changed.of("tasks"))}})
        self._missing = needed - {worker["snapshot"] for worker in workers if worker["capacity"] > 0}
        for snapshot in self._missing:
            self._start(snapshot)
        return min((self._pause(snapshot) for snapshot in self._missing), default=REREAD_SECONDS)

    def _lose_orphans(self) -> list[Worker]:
        """Mark the tasks whose worker is gone; returns those that live."""
        # Tasks before workers: who holds a task read here has written down itself earlier.
        claimed = list(self._records.tasks.find({"status": {"$in": list(CLAIMED)}, "parent": None}))
        workers = self._living()
        names = {worker["_id"] for worker in workers}
        self._each([task for task in claimed if task["claim"] and task["claim"]["worker"] not in names], self._lose)
        return workers

    def _lose(self, task: Task) -> None:
        if was_killed(task):
            end_killed(self._records, self._catalog, task)
        else:
            lose(self._records, task)

    def _living(self) -> list[Worker]:
        """The workers not known to be dead; each is watched from the first time it is seen."""
        living = []
        for worker in self._records.workers.find({}):
            instance = worker["instance"]
            if instance in self._dead:
                self._records.workers.delete_one({"_id": worker["_id"], "instance": instance})
                self._records.log("worker.died", worker["_id"], snapshot=worker["snapshot"])
                continue
            living.append(worker)
            if instance not in self._watched:
                self._watched.add(instance)
                self._watch.watch(Identity.from_dict(worker["identity"]), partial(self._on_death, instance))
        return living

    def _on_death(self, instance: str) -> None:
        self._dead.add(instance)
        self.wake()

    def _needed(self, among: Document) -> set[str]:
        """The current snapshot, and those that sent or retried tasks are pinned to."""
        waiting = {**among, "status": {"$in": [TaskStatus.READY, TaskStatus.INITIATED]}, "pin": {"$ne": None}}
        pinned = {task["pin"]["snapshot"] for task in self._records.tasks.find(waiting, {"pin": 1}) if task["pin"]}
        current = self._current()
        return pinned if current is None else pinned | {current["snapshot"]}

    def _start(self, snapshot: str) -> None:
        thread = self._starting.get(snapshot)
        if thread is None or not thread.is_alive():
            name = f"start worker {snapshot[:12]}"
            thread = threading.Thread(target=self._run_ensure, args=(snapshot,), name=name, daemon=True)
            self._starting[snapshot] = thread
            thread.start()

    def _run_ensure(self, snapshot: str) -> None:
        try:
            self._ensure(snapshot)
        except Exception as error:  # noqa: BLE001 - what starts may fail in any way; it is logged when it is new
            self._refuse(snapshot, error)
        else:
            self._refusals.pop(snapshot, None)
            self._reasons.pop(snapshot, None)
            self.wake()

    def _refuse(self, snapshot: str, error: Exception) -> None:
        """Try again after a pause; each reason is told once."""
        self._refusals[snapshot] = self._refusals.get(snapshot, 0) + 1
        if self._reasons.get(snapshot) == str(error):
            return
        self._reasons[snapshot] = str(error)
        log.error("No worker for code version %s", snapshot[:12], exc_info=error)
        self._records.log("worker.failed", snapshot, reason=str(error))

    def _pause(self, snapshot: str) -> float:
        return min(_RETRY_SECONDS * 2.0 ** self._refusals.get(snapshot, 0), _LONGEST_RETRY)


def lose(records: Records, task: Task) -> bool:
    """Mark a task whose worker is dead as LOST; it keeps its pin and what it holds. Whether it was still claimed."""
    claim, pin = task["claim"], task["pin"]
    assert claim is not None
    assert pin is not None
    fields = {"status": TaskStatus.LOST, "message": f"Its worker {claim['worker']} died; retry or cancel it."}
    if not take(records, task, TaskStatus.LOST, fields, "Its parent was lost with its worker."):
        return False
    records.log("task.lost", task["_id"], worker=claim["worker"], snapshot=pin["snapshot"])
    return True
