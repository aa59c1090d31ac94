"""Experiments: a task is READY when all tasks before it are COMPLETED; an experiment ends with its last task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from lab.managers.bus import Bus, Manager
from lab.records import ENDED, ExperimentStatus, Records, Task, TaskStatus, now

_SWEEP_AGE: Final = timedelta(minutes=1)
_FAILED: Final = (TaskStatus.ERROR, TaskStatus.CANCELLED)
_FIELDS: Final = ("status", "previous", "experiment")


class ExperimentManager(Manager):
    """Lets tasks go on, cancels what can never start, and closes experiments.

    ``on_ready`` is called at once when tasks became READY.
    """

    def __init__(self, records: Records, bus: Bus, on_ready: Callable[[], None]) -> None:
        super().__init__("experiment manager")
        self._records = records
        self._on_ready = on_ready
        self._swept = False
        bus.subscribe("experiments", self.wake, {"status": {ExperimentStatus.RUNNING}})
        bus.subscribe("tasks", self.wake, {"status": {TaskStatus.WAITING, *ENDED}})

    def reconcile(self) -> float | None:
        if not self._swept:
            sweep_leftovers(self._records)
            resume_interrupted(self._records)
            self._swept = True
        running = self._records.experiments.find({"status": ExperimentStatus.RUNNING}, {"_id": 1})
        for experiment, tasks in self._tasks_of([each["_id"] for each in running]).items():
            self._advance(experiment, tasks)
        return None

    def _tasks_of(self, experiments: list[str]) -> dict[str, dict[str, Task]]:
        grouped: dict[str, dict[str, Task]] = {experiment: {} for experiment in experiments}
        query = {"experiment": {"$in": experiments}, "parent": None}
        for task in self._records.tasks.find(query, dict.fromkeys(_FIELDS, 1)):
            grouped[task["experiment"]][task["_id"]] = task
        return grouped

    def _advance(self, experiment: str, tasks: dict[str, Task]) -> None:
        became_ready = False
        for task in tasks.values():
            if task["status"] == TaskStatus.WAITING:
                became_ready |= self._settle(task, tasks)
        if became_ready:
            self._on_ready()
        if all(task["status"] in ENDED for task in tasks.values()):
            self._close(experiment, tasks)

    def _settle(self, task: Task, tasks: Mapping[str, Task]) -> bool:
        """Let a waiting task go on or cancel it, as the tasks before it say; whether it is READY now."""
        previous = [tasks[name] for name in task["previous"]]
        failed = next((each for each in previous if each["status"] in _FAILED), None)
        if failed is not None:
            reason = f"Task {failed['_id']}, which comes before it, ended in {failed['status']}."
            self._change(task, TaskStatus.CANCELLED, reason=reason, ended_at=now())
            # Those after it see that it ended when this manager runs again, which the change itself brings about.
            return False
        if all(each["status"] == TaskStatus.COMPLETED for each in previous):
            return self._change(task, TaskStatus.READY, ready_at=now(), reason=None)
        return False

    def _change(self, task: Task, status: TaskStatus, **fields: object) -> bool:
        query = {"_id": task["_id"], "status": TaskStatus.WAITING}
        changed = self._records.tasks.update_one(query, {"$set": {"status": status, **fields}}).modified_count == 1
        if changed:
            task["status"] = status
        return changed

    def _close(self, experiment: str, tasks: Mapping[str, Task]) -> None:
        status = _outcome({task["status"] for task in tasks.values()})
        changed = self._records.experiments.update_one(
            {"_id": experiment, "status": ExperimentStatus.RUNNING},
            {"$set": {"status": status, "completed_at": now()}},
        )
        if changed.modified_count:
            self._records.log("experiment.ended", experiment, status=status)


def _outcome(statuses: set[str]) -> ExperimentStatus:
    if TaskStatus.ERROR in statuses:
        return ExperimentStatus.ERROR
    if TaskStatus.CANCELLED in statuses:
        return ExperimentStatus.CANCELLED
    return ExperimentStatus.COMPLETED


def sweep_leftovers(records: Records) -> int:
    """Delete tasks and samples whose experiment was never stored, because a crash cut its submission short.

    Younger ones are left alone: their submission may be under way. Returns how many documents went.
    """
    known = {each["_id"] for each in records.experiments.find({}, {"_id": 1})}
    old = {
        each["_id"]: each["experiment"]
        for each in records.tasks.find({"created_at": {"$lt": now() - _SWEEP_AGE}}, {"experiment": 1})
    }
    orphaned = sorted(set(old.values()) - known)
    if not orphaned:
        return 0
    query = {"experiment": {"$in": orphaned}}
    return records.samples.delete_many(query).deleted_count + records.tasks.delete_many(query).deleted_count


def resume_interrupted(records: Records) -> None:
    """Let experiments go on that ended, but whose tasks wait again because a retry was cut short by a crash."""
    waiting = {"status": {"$in": [TaskStatus.WAITING, TaskStatus.READY]}, "parent": None}
    experiments = sorted({task["experiment"] for task in records.tasks.find(waiting, {"experiment": 1})})
    ended = {"_id": {"$in": experiments}, "status": {"$ne": ExperimentStatus.RUNNING}}
    records.experiments.update_many(ended, {"$set": {"status": ExperimentStatus.RUNNING, "completed_at": None}})
