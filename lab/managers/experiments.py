"""Experiments: a task is READY when it has nothing more to wait for; an experiment ends with its last task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final

from lab.finding import find_in
from lab.managers.bus import Bus, Manager
from lab.managers.changes import REREAD_SECONDS, Changed
from lab.managers.downstream import next_step
from lab.records import ENDED, Experiment, ExperimentStatus, Records, Task, TaskStatus, now

_SWEEP_AGE: Final = timedelta(minutes=1)
_UNSTARTED: Final = (TaskStatus.WAITING, TaskStatus.READY)
_FIELDS: Final = ("status", "previous", "experiment", "samples", "planned", "skip", "parent")


class ExperimentManager(Manager):
    """Lets tasks go on, cancels what can never start, and closes experiments.

    ``on_ready`` is told at once which tasks became READY. Only those experiments are read of which something changed.
    """

    def __init__(self, records: Records, bus: Bus, on_ready: Callable[[list[str]], None]) -> None:
        super().__init__("experiment manager", pause=0.02)
        self._records = records
        self._on_ready = on_ready
        bus.subscribe("experiments", self.wake, {"status": {ExperimentStatus.RUNNING}}, self._changes)
        bus.subscribe("tasks", self.wake, {"status": {TaskStatus.WAITING, *ENDED}, "skip": None}, self._changes)

    def reconcile(self) -> float | None:
        changed = self._changes.take()
        if changed.everything:
            sweep_leftovers(self._records)
            resume_interrupted(self._records)
        running = self._running(changed)
        tasks = self._tasks_of(list(running))
        self._each(tasks, lambda each: self._advance(each, tasks[each], running[each]))
        return REREAD_SECONDS

    def _running(self, changed: Changed) -> dict[str, str]:
        """What to do in a failure, by the id of each running experiment of which something changed."""
        fields = {"on_failure": 1, "status": 1}
        found: Iterable[Experiment]
        if changed.everything:
            found = self._records.experiments.find({"status": ExperimentStatus.RUNNING}, fields)
        else:
            tasks = find_in(self._records.tasks, "_id", changed.of("tasks"), {"experiment": 1})
            names = changed.of("experiments").union(task["experiment"] for task in tasks)
            found = find_in(self._records.experiments, "_id", names, fields)
        running = (each for each in found if each["status"] == ExperimentStatus.RUNNING)
        return {each["_id"]: each.get("on_failure", "cancel") for each in running}

    def _tasks_of(self, experiments: list[str]) -> dict[str, dict[str, Task]]:
        grouped: dict[str, dict[str, Task]] = {experiment: {} for experiment in experiments}
        for task in find_in(self._records.tasks, "experiment", experiments, dict.fromkeys(_FIELDS, 1)):
            if task["parent"] is None:
                grouped[task["experiment"]][task["_id"]] = task
        return grouped

    def _advance(self, experiment: str, tasks: dict[str, Task], on_failure: str) -> None:
        waiting = [task for task in tasks.values() if task["status"] == TaskStatus.WAITING]
        if ready := [task["_id"] for task in waiting if self._settle(task, tasks, on_failure)]:
            self._on_ready(ready)
        if all(task["status"] in ENDED for task in tasks.values()):
            self._close(experiment, tasks)

    def _settle(self, task: Task, tasks: Mapping[str, Task], on_failure: str) -> bool:
        """Let a waiting task go on or end, as the tasks before it say; whether it is READY now."""
        step = next_step(task, tasks, on_failure)
        if step is None:
            return False
        query = {"_id": task["_id"], "status": TaskStatus.WAITING, "skip": task.get("skip")}
        change = {"$set": {"status": step.status, **step.fields}}
        if self._records.tasks.update_one(query, change).modified_count == 1:
            task["status"] = step.status
            # Those after one that ended see that when this manager runs again, which the change itself brings about.
            return step.status == TaskStatus.READY
        return False

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
    unstarted = {"status": {"$in": list(_UNSTARTED)}, "created_at": {"$lt": now() - _SWEEP_AGE}}
    named = {each["experiment"] for each in records.tasks.find(unstarted, {"experiment": 1})}
    orphaned = sorted(named - {each["_id"] for each in find_in(records.experiments, "_id", named, {"_id": 1})})
    if not orphaned:
        return 0
    query = {"experiment": {"$in": orphaned}}
    return records.samples.delete_many(query).deleted_count + records.tasks.delete_many(query).deleted_count


def resume_interrupted(records: Records) -> None:
    """Let experiments go on that ended, but whose tasks wait again because a retry was cut short by a crash."""
    waiting = {"status": {"$in": list(_UNSTARTED)}, "parent": None}
    experiments = sorted({task["experiment"] for task in records.tasks.find(waiting, {"experiment": 1})})
    ended = {"_id": {"$in": experiments}, "status": {"$ne": ExperimentStatus.RUNNING}}
    records.experiments.update_many(ended, {"$set": {"status": ExperimentStatus.RUNNING, "completed_at": None}})
