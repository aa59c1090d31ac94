"""What the task manager knows: the tasks that are READY, and how many of each snapshot are at work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from lab.finding import find_in
from lab.managers.arrivals import Arrivals
from lab.managers.changes import Changed
from lab.records import CLAIMED, Document, ExperimentStatus, Pin, Records, Task, TaskStatus

_FIELDS: Final = (
    *("status", "type", "parameters", "samples", "experiment", "priority", "ready_at"),
    *("pin", "attempt", "claim", "examined"),
)
_AT_WORK: Final = (TaskStatus.INITIATED, *CLAIMED)


class ReadyTasks:
    """Reads only the tasks and experiments that changed."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._ready: dict[str, Task] = {}
        self._arrivals = Arrivals()
        self._running: set[str] = set()
        self._at_work: dict[str, str] = {}

    def read(self, changed: Changed) -> None:
        """Take in what changed."""
        fields = dict.fromkeys(_FIELDS, 1)
        if changed.everything:
            self._ready.clear()
            self._running.clear()
            self._at_work.clear()
            query: Document = {"status": {"$in": [TaskStatus.READY, *_AT_WORK]}, "parent": None}
            self._learn(self._records.tasks.find(query, fields))
        else:
            for name in changed.of("tasks"):
                self._forget(name)
            tasks = find_in(self._records.tasks, "_id", changed.of("tasks"), {**fields, "parent": 1})
            self._learn(task for task in tasks if task["parent"] is None)
        self._arrivals.keep({**self._ready, **self._at_work})  # one that is sent may be put back
        self._look_for_running()

    def in_order(self) -> list[Task]:
        """READY tasks of running experiments, the urgent and the old first."""
        return sorted(
            (task for task in self._ready.values() if task["experiment"] in self._running),
            key=lambda task: (-task["priority"], self._arrivals.number(task["_id"])),
        )

    def at_work(self) -> Counter[str]:
        """How many tasks of each snapshot are sent to a worker or in its hands."""
        return Counter(self._at_work.values())

    def sent(self, task: Task, pin: Pin) -> None:
        """The task is not READY any more."""
        self._ready.pop(task["_id"], None)
        self._at_work[task["_id"]] = pin["snapshot"]

    def put_back(self, task: Task) -> None:
        """It is READY after all."""
        self._at_work.pop(task["_id"], None)
        self._ready[task["_id"]] = task

    def _learn(self, tasks: Iterable[Task]) -> None:
        found = list(tasks)
        ready = [task for task in found if task["status"] == TaskStatus.READY]
        for task in sorted(ready, key=lambda task: (task["ready_at"], task["_id"])):
            self._arrivals.number(task["_id"])
            self._ready[task["_id"]] = task
        for task in found:
            if task["status"] in _AT_WORK:
                self._at_work[task["_id"]] = task["pin"]["snapshot"] if task["pin"] else ""

    def _forget(self, name: str) -> None:
        self._ready.pop(name, None)
        self._at_work.pop(name, None)

    def _look_for_running(self) -> None:
        """An experiment that is not stored yet, or not running, has nothing launched."""
        experiments = {task["experiment"] for task in self._ready.values()}
        self._running &= experiments
        found = find_in(self._records.experiments, "_id", experiments - self._running, {"status": 1})
        self._running.update(each["_id"] for each in found if each["status"] == ExperimentStatus.RUNNING)
