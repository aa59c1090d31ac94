"""How a person has an experiment go on that a failure stopped: by skipping a task, or by retrying what failed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from lab.managers.commands import Commands, reopen
from lab.managers.downstream import skipped_by
from lab.records import UNDECIDED, Document, Records, Task, TaskStatus, now
from lab.refusals import ConflictError, NotFoundError

_AT_ONCE: Final = (TaskStatus.READY, TaskStatus.ERROR, *UNDECIDED, TaskStatus.CANCELLED)


class Resumption:
    """``revoke`` takes a device away from a task's dead attempt, at its driver; ``wake`` follows each change."""

    def __init__(
        self, records: Records, commands: Commands, revoke: Callable[[str], object], wake: Callable[[], None]
    ) -> None:
        self._records = records
        self._commands = commands
        self._revoke = revoke
        self._wake = wake

    def skip(self, task_id: str, actor: str) -> Task:
        """Have a task that failed, is undecided, was cancelled by a person or has not started count as COMPLETED.

        One that waits for others does so when its turn comes. What it holds is given back, and the tasks after it go
        on. Raises NotFoundError, and ConflictError while it is at work.
        """
        task = self._skippable(task_id)
        if task["status"] in UNDECIDED:
            for device in self._records.devices.find({"holder": task_id}, {"_id": 1}):
                self._revoke(device["_id"])
        unchanged = {"_id": task_id, "status": task["status"], "attempt": task["attempt"]}
        fields = _waiting(actor) if task["status"] == TaskStatus.WAITING else _skipped(actor)
        if not self._records.tasks.update_one(unchanged, {"$set": fields}).modified_count:
            raise ConflictError(f"Task {task_id} changed meanwhile; look at it again.")
        reopen(self._records, task["experiment"], task_id)
        self._records.log("task.skipped", task_id, actor=actor, before=task["status"])
        self._wake()
        return self._task(task_id)

    def resume(self, experiment_id: str, actor: str) -> Document:
        """Retry all failed tasks of an experiment: ``{retried}`` with their ids. Those after them wait again.

        Raises NotFoundError, and ConflictError when nothing failed. Each undecided task is left to a decision.
        """
        if self._records.experiments.find_one({"_id": experiment_id}, {"_id": 1}) is None:
            raise NotFoundError(f"There is no experiment {experiment_id!r}; `lab experiments` lists them.")
        query = {"experiment": experiment_id, "parent": None, "status": TaskStatus.ERROR}
        failed = [task["_id"] for task in self._records.tasks.find(query, {"_id": 1}, sort=[("_id", 1)])]
        retried = []
        for task_id in failed:
            with suppress(ConflictError):  # somebody else was faster
                self._commands.retry(task_id, actor)
                retried.append(task_id)
        if not retried:
            raise ConflictError(f"Experiment {experiment_id} has no failed task that could be retried.")
        return {"id": experiment_id, "retried": retried}

    def _skippable(self, task_id: str) -> Task:
        task = self._task(task_id)
        if task["parent"] is not None:
            raise ConflictError(f"Task {task_id} is part of task {task['parent']}; skip that one.")
        if task["status"] == TaskStatus.CANCELLED and not task["cancel_requested"]:
            raise ConflictError(f"Task {task_id} was cancelled because one before it failed; skip or retry that one.")
        if task["status"] not in (*_AT_ONCE, TaskStatus.WAITING):
            raise ConflictError(f"Task {task_id} is {task['status']}; cancel it first if it is to be skipped.")
        return task

    def _task(self, task_id: str) -> Task:
        task = self._records.tasks.find_one({"_id": task_id})
        if task is None:
            raise NotFoundError(f"There is no task {task_id!r}; `lab tasks` lists them.")
        return task


def _waiting(actor: str) -> Document:
    return {"skip": actor, "note": f"Will be skipped when its turn comes, as {actor} wishes."}


def _skipped(actor: str) -> Document:
    ended = {"status": TaskStatus.COMPLETED, "ended_at": now(), "claim": None, "cancel_requested": False}
    return {**ended, "note": skipped_by(actor), "reason": None}
