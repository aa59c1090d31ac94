"""What happens with a message: claim its task, start its thread, be done."""

from __future__ import annotations

import logging
import threading
from typing import Any

from hotswap.process import Context
from lab.definitions import registry
from lab.drivers.client import Caller
from lab.patience import patiently
from lab.records import Claim, Records, Task, TaskStatus, new_id, now
from lab.results.result_files import ResultFiles
from lab.watching import Watcher
from lab.worker._cancellation import Cancellation
from lab.worker._lease import Lease
from lab.worker._run import TaskRun
from lab.worker._scope import Scope
from lab.worker._view import failure

log = logging.getLogger(__name__)


class Intake:
    """Takes tasks up to the capacity that the lease tells, and knows those that run.

    With ``alone``, the process is there for one attempt at one task.
    """

    def __init__(
        self, context: Context, records: Records, watcher: Watcher, lease: Lease, *, alone: bool = False
    ) -> None:
        self._context = context
        self._records = records
        self._watcher = watcher
        self._lease = lease
        self._alone = alone
        self._capacity = 1 if alone else lease.capacity
        self._files = ResultFiles(records.database)
        self._runs: dict[tuple[str, int], TaskRun | None] = {}
        self._lock = threading.Lock()

    def run_task(self, *args: Any, **kwargs: Any) -> None:
        """The actor: ``run_task(task_id, attempt)``. Anything else, and anything out of date, is ignored."""
        if kwargs or len(args) != 2 or not isinstance(args[0], str) or type(args[1]) is not int:
            log.warning("A message was ignored: run_task takes a task id and an attempt, not %r %r.", args, kwargs)
            return
        task_id, attempt = args
        if not self._reserve(task_id, attempt):
            log.info("Task %s is not taken now; it will be sent again.", task_id)
            return
        claim = Claim(worker=self._lease.worker, token=new_id(), at=now())
        if self._alone:
            claim["process"] = self._context.name
        try:
            begun = self._begin(task_id, attempt, claim)
        except BaseException as error:  # whatever it is, a claimed task that nobody runs would stay RUNNING for ever
            self._fail(task_id, attempt, claim, error)
            raise
        if begun:
            self._lease.begun()  # told to people; the task need not wait for it

    def tasks(self) -> list[str]:
        """The ids of the tasks that run here."""
        with self._lock:
            return [task_id for task_id, _ in self._runs]

    def idle(self) -> bool:
        return not self.tasks()

    def close(self) -> None:
        """Take no more tasks."""
        with self._lock:
            self._capacity = 0

    def retire(self) -> bool:
        """Take no more tasks, unless some run or are just being claimed; whether that is so.

        What was abandoned does not count: nobody wants it any more.
        """
        with self._lock:
            if self._at_work():
                return False
            self._capacity = 0
        self._lease.close()
        return True

    def join(self) -> None:
        """Wait until every task has ended."""
        while runs := [run for run in self._snapshot() if run is not None]:
            for run in runs:
                run.join()

    def _snapshot(self) -> list[TaskRun | None]:
        with self._lock:
            return list(self._runs.values())

    def _at_work(self) -> int:
        """How many tasks run, or are being claimed. The caller has the lock."""
        return sum(run is None or not run.taken for run in self._runs.values())

    def _reserve(self, task_id: str, attempt: int) -> bool:
        with self._lock:
            if (task_id, attempt) in self._runs or self._at_work() >= self._capacity:
                return False
            self._runs[task_id, attempt] = None
            return True

    def _begin(self, task_id: str, attempt: int, claim: Claim) -> bool:
        """Claim and start the task; False, and its slot is free, when it does not wait for this worker."""
        run = self._claim(task_id, attempt, claim)
        if run is None:
            self._free(task_id, attempt)
            return False
        with self._lock:
            self._runs[task_id, attempt] = run
        run.start()
        return True

    def _fail(self, task_id: str, attempt: int, claim: Claim, error: BaseException) -> None:
        """End a task that could not be started, if it was claimed."""
        try:
            task = self._claimed(task_id, claim)
            if task is not None:
                scope = self._scope(task, claim)
                scope.end(task_id, failure(error, scope), [scope.provenance(TaskStatus.ERROR)])
        finally:
            self._free(task_id, attempt)

    def _free(self, task_id: str, attempt: int) -> None:
        with self._lock:
            del self._runs[task_id, attempt]

    def _claim(self, task_id: str, attempt: int, claim: Claim) -> TaskRun | None:
        unclaimed = {
            "_id": task_id,
            "status": TaskStatus.INITIATED,
            "pin.snapshot": self._context.snapshot,
            "attempt": attempt,
            "claim": None,
        }
        fresh = {"message": "", "progress": None, "started_at": claim["at"]}
        taken = {"status": TaskStatus.RUNNING, "claim": claim, **fresh}
        patiently(lambda: self._records.tasks.update_one(unclaimed, {"$set": taken}))
        # The token decides, not the answer to the write: that may have been lost on the way.
        task = self._claimed(task_id, claim)
        if task is None:
            log.info("A message was ignored: task %s, attempt %d is not waiting for this worker.", task_id, attempt)
            return None
        return TaskRun(self._scope(task, claim), task, lambda: self._ended(task_id, attempt))

    def _claimed(self, task_id: str, claim: Claim) -> Task | None:
        return patiently(lambda: self._records.tasks.find_one({"_id": task_id, "claim.token": claim["token"]}))

    def _scope(self, task: Task, claim: Claim) -> Scope:
        assert task["pin"] is not None, task["_id"]
        return Scope(
            records=self._records,
            watcher=self._watcher,
            cancellation=Cancellation(),
            root=task["_id"],
            experiment=task["experiment"],
            claim=claim,
            pin=task["pin"],
            caller=Caller(task["_id"], task["attempt"], self._context.package, self._context.secret),
            tree=self._context.tree,
            files=self._files,
            refuse_results=self._context.arguments.get("results") == "refuse",
            clean_up=_clean_up_of(task["type"]),
        )

    def _ended(self, task_id: str, attempt: int) -> None:
        try:
            self._lease.ended(task_id, attempt)
        finally:
            self._free(task_id, attempt)


def _clean_up_of(task_type: str) -> str:
    known = registry.tasks.get(task_type)
    return "release" if known is None else known.cls.clean_up
