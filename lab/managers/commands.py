"""What people may do to tasks and experiments: cancel and retry."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from hotswap.errors import HotswapError
from hotswap.generations import Generations
from lab.catalog import Catalog
from lab.managers.clean_up import ending
from lab.records import CLAIMED, ENDED, UNDECIDED, Experiment, ExperimentStatus, Records, Task, TaskStatus, now
from lab.refusals import ConflictError, NotFoundError

RETRIABLE: Final = (*UNDECIDED, TaskStatus.ERROR)
"""A task in one of these waits for a decision, or can be run again all the same."""

_IDLE: Final = (TaskStatus.WAITING, TaskStatus.READY, TaskStatus.INITIATED, *UNDECIDED)
_OVER: Final = (TaskStatus.FINISHING, *ENDED)


class EndedError(ConflictError):
    """There is nothing left to cancel."""


class Commands:
    """``revoke`` takes a device away from a task's dead attempt, and ``stop`` stops one in an emergency, at its driver;
    ``wake`` follows each change.
    """

    def __init__(
        self,
        records: Records,
        catalog: Catalog,
        revoke: Callable[[str], object],
        stop: Callable[[str], object],
        wake: Callable[[], None],
    ) -> None:
        self._records = records
        self._catalog = catalog
        self._states = Generations(records.database).states
        self._revoke = revoke
        self._stop = stop
        self._wake = wake

    def cancel_task(self, task_id: str, actor: str, *, stop_devices: bool = False) -> Task:
        """End a task that is in nobody's hands at once; ask the worker of any other to stop it.

        With ``stop_devices`` each device it holds is stopped in an emergency. Raises NotFoundError, and ConflictError
        when it has ended already or is part of another task, or is cancelled but a device was not stopped.
        """
        refusals = self._cancel(self.top_level(task_id, "cancel"), actor, stop_devices)
        _tell_refusals(f"Task {task_id}", refusals)
        return self.task(task_id)

    def _cancel(self, task: Task, actor: str, stop_devices: bool) -> list[str]:
        """What is said of each device that was not stopped. Raises EndedError when all were and the task is over."""
        task_id = task["_id"]
        # Who is paused is granted to nobody else, so that no device of another task is stopped.
        devices = self._pause_all(task_id) if stop_devices and task["status"] not in ENDED else []
        while task["status"] not in _OVER:
            if self._end(task, actor) or self._ask(task):
                self._records.log("task.cancelled", task_id, actor=actor)
                self._wake()
                return self._stop_all(devices)
            task = self.task(task_id)
        if refusals := self._stop_all(devices):
            return refusals
        if task["status"] == TaskStatus.FINISHING:
            taken_out = "ends when its samples were taken out; see `lab prompts`"
            raise EndedError(f"Task {task_id} has stopped already, and {taken_out}.")
        raise EndedError(f"Task {task_id} has ended already: {task['status']}.")

    def _pause_all(self, task_id: str) -> list[str]:
        held = [device["_id"] for device in self._records.devices.find({"holder": task_id}, {"_id": 1})]
        pause = {"$set": {"paused": True}}
        return [
            name
            for name in held
            if self._records.devices.update_one({"_id": name, "holder": task_id}, pause).matched_count
        ]

    def _stop_all(self, devices: list[str]) -> list[str]:
        refusals = []
        for device in devices:
            try:
                self._stop(device)
            except (HotswapError, OSError) as error:
                refusals.append(str(error))
        return refusals

    def cancel_experiment(self, experiment_id: str, actor: str, *, stop_devices: bool = False) -> Experiment:
        """Cancel all its tasks that have not ended, whatever becomes of the devices of one; see ``cancel_task``."""
        self.experiment(experiment_id)
        unfinished = {"experiment": experiment_id, "parent": None, "status": {"$nin": list(ENDED)}}
        tasks = list(self._records.tasks.find(unfinished))
        if not tasks:
            raise ConflictError(f"Experiment {experiment_id} has ended already.")
        refusals: list[str] = []
        for task in tasks:
            with suppress(EndedError):  # it has ended meanwhile, perhaps because an earlier one was cancelled
                refusals += self._cancel(task, actor, stop_devices)
        _tell_refusals(f"Experiment {experiment_id}", refusals)
        return self.experiment(experiment_id)

    def retry(self, task_id: str, actor: str) -> Task:
        """Have a LOST, ABANDONED or failed task run again from its start, with the code it is pinned to.

        What it holds stays its own. Tasks after it that were cancelled because it failed wait for it again.
        """
        task = self.top_level(task_id, "retry")
        if task["status"] not in RETRIABLE:
            raise ConflictError(
                f"Task {task_id} is {task['status']}; only a task that is LOST, ABANDONED or in ERROR is retried."
            )
        self.start_again(task, actor)
        return self.task(task_id)

    def start_again(self, task: Task, actor: str, **fields: Any) -> None:
        """Have a task that a decision is waited for run from its start, with ``fields`` changed in the same moment.

        Its devices are taken from the attempt before first. Raises ConflictError when a driver does not answer or the
        task changed meanwhile: then it stays stopped.
        """
        self.revoke_devices(task["_id"])
        ready = self._make_ready(task, fields)
        pin = fields.get("pin", task["pin"])
        if pin is not None:
            self._states.need(pin["snapshot"])
        if not ready:
            raise ConflictError(f"Task {task['_id']} changed meanwhile; look at it again.")
        reopen(self._records, task["experiment"], task["_id"])
        self._records.log("task.retried", task["_id"], actor=actor, attempt=task["attempt"])
        self._wake()

    def revoke_devices(self, task_id: str) -> None:
        """Take all devices that a task holds from its dead attempt. Raises ConflictError as ``start_again``."""
        for device in self._records.devices.find({"holder": task_id}, {"_id": 1}):
            self._revoke(device["_id"])

    def top_level(self, task_id: str, verb: str) -> Task:
        """A task that is no part of another. Raises NotFoundError, and ConflictError: ``verb`` the other instead."""
        task = self.task(task_id)
        if task["parent"] is not None:
            raise ConflictError(f"Task {task_id} is part of task {task['parent']}; {verb} that one.")
        return task

    def task(self, task_id: str) -> Task:
        """Raises NotFoundError."""
        task = self._records.tasks.find_one({"_id": task_id})
        if task is None:
            raise NotFoundError(f"There is no task {task_id!r}; `lab tasks` lists them.")
        return task

    def experiment(self, experiment_id: str) -> Experiment:
        """Raises NotFoundError."""
        experiment = self._records.experiments.find_one({"_id": experiment_id})
        if experiment is None:
            raise NotFoundError(f"There is no experiment {experiment_id!r}; `lab experiments` lists them.")
        return experiment

    def _end(self, task: Task, actor: str) -> bool:
        query = {"_id": task["_id"], "status": {"$in": list(_IDLE)}, "claim": None}
        fields = ending(self._records, self._catalog, task, TaskStatus.CANCELLED)
        fields |= {"reason": f"Cancelled by {actor}.", "cancel_requested": True}
        return self._records.tasks.update_one(query, {"$set": fields}).modified_count == 1

    def _ask(self, task: Task) -> bool:
        query = {"_id": task["_id"], "status": {"$in": list(CLAIMED)}}
        return self._records.tasks.update_one(query, {"$set": {"cancel_requested": True}}).matched_count == 1

    def _make_ready(self, task: Task, fields: dict[str, Any]) -> bool:
        query = {"_id": task["_id"], "status": task["status"], "attempt": task["attempt"]}
        change = {"$set": _fresh(TaskStatus.READY) | fields}
        return self._records.tasks.update_one(query, change).modified_count == 1


def reopen(records: Records, experiment: str, task_id: str) -> None:
    """Let what comes after ``task_id`` wait again, and the experiment go on; safe to repeat.

    That is what was cancelled because it failed, and what has not started without samples that it lost.
    """
    for later in records.tasks.find({"experiment": experiment, "previous": task_id}, {"planned": 1}):
        planned = later.get("planned")
        stopped: list[dict[str, Any]] = [{"status": TaskStatus.CANCELLED, "cancel_requested": False}]
        if planned:
            stopped.append({"status": TaskStatus.READY})
        query = {"_id": later["_id"], "started_at": None, "$or": stopped}
        whole = {"samples": planned, "planned": None, "note": None, "examined": None} if planned else {}
        if records.tasks.update_one(query, {"$set": _fresh(TaskStatus.WAITING) | whole}).modified_count:
            reopen(records, experiment, later["_id"])
    ended = {"_id": experiment, "status": {"$ne": ExperimentStatus.RUNNING}}
    records.experiments.update_one(ended, {"$set": {"status": ExperimentStatus.RUNNING, "completed_at": None}})


def _tell_refusals(what: str, refusals: list[str]) -> None:
    if refusals:
        raise ConflictError(f"{what} is cancelled, but not all its devices stopped: {' '.join(refusals)}")


def _fresh(status: TaskStatus) -> dict[str, Any]:
    return {
        "status": status,
        "ready_at": now() if status == TaskStatus.READY else None,
        "claim": None,
        "error": None,
        "reason": None,
        "message": "",
        "ended_at": None,
        "cancel_requested": False,
    }
