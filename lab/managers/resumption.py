"""How a person has an experiment go on that a failure stopped: by skipping a task, or by retrying what failed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from lab.catalog import Catalog
from lab.managers.clean_up import ending
from lab.managers.commands import Commands, reopen
from lab.managers.downstream import skipped_by
from lab.records import UNDECIDED, Document, Records, Task, TaskStatus
from lab.refusals import ConflictError

_AT_ONCE: Final = (TaskStatus.READY, TaskStatus.ERROR, *UNDECIDED, TaskStatus.CANCELLED)


class Resumption:
    """``wake`` follows each change."""

    def __init__(self, records: Records, catalog: Catalog, commands: Commands, wake: Callable[[], None]) -> None:
        self._records = records
        self._catalog = catalog
        self._commands = commands
        self._wake = wake

    def skip(self, task_id: str, actor: str) -> Task:
        """Have a task that failed, is undecided, was cancelled by a person or has not started count as COMPLETED.

        One that waits for others does so when its turn comes. What it holds is given back, after a person has taken
        its samples out where its class wants that, and the tasks after it go on. Raises NotFoundError, and
        ConflictError while it is at work.
        """
        task = self._skippable(task_id)
        if task["status"] in UNDECIDED:
            self._commands.revoke_devices(task_id)
        unchanged = {"_id": task_id, "status": task["status"], "attempt": task["attempt"]}
        fields = _waiting(actor) if task["status"] == TaskStatus.WAITING else self._skipped(task, actor)
        if not self._records.tasks.update_one(unchanged, {"$set": fields}).modified_count:
            raise ConflictError(f"Task {task_id} changed meanwhile; look at it again.")
        reopen(self._records, task["experiment"], task_id)
        self._records.log("task.skipped", task_id, actor=actor, before=task["status"])
        self._wake()
        return self._commands.task(task_id)

    def resume(self, experiment_id: str, actor: str) -> Document:
        """Retry all failed tasks of an experiment: ``{retried}`` with their ids. Those after them wait again.

        Raises NotFoundError, and ConflictError when nothing failed. Each undecided task is left to a decision.
        """
        self._commands.experiment(experiment_id)
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
        task = self._commands.top_level(task_id, "skip")
        if task["status"] == TaskStatus.CANCELLED and not task["cancel_requested"]:
            raise ConflictError(f"Task {task_id} was cancelled because one before it failed; skip or retry that one.")
        if task["status"] not in (*_AT_ONCE, TaskStatus.WAITING):
            raise ConflictError(f"Task {task_id} is {task['status']}; cancel it first if it is to be skipped.")
        return task

    def _skipped(self, task: Task, actor: str) -> Document:
        told = {"note": skipped_by(actor), "reason": None, "claim": None, "cancel_requested": False}
        return {**ending(self._records, self._catalog, task, TaskStatus.COMPLETED), **told}


def _waiting(actor: str) -> Document:
    return {"skip": actor, "note": f"Will be skipped when its turn comes, as {actor} wishes."}
