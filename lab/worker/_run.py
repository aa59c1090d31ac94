"""The thread of one task: from its claim to its end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from bson.errors import BSONError
from pymongo.errors import OperationFailure, PyMongoError

from lab.patience import patiently
from lab.records import Document, Task, TaskStatus
from lab.worker._interruption import Interrupter
from lab.worker._scope import Scope
from lab.worker._view import TaskView, failure, task_class

log = logging.getLogger(__name__)


class TaskRun:
    """Runs a claimed task to its end, whatever happens in it; then calls ``on_end``."""

    def __init__(self, scope: Scope, task: Task, on_end: Callable[[], None]) -> None:
        self.task = task
        self._scope = scope
        self._on_end = on_end
        self._label = f"[{scope.pin['snapshot'][:8]} {task['_id']}]"
        # Not a daemon: a worker that was told to end lets its tasks end.
        self._thread = threading.Thread(target=self._run, name=f"task-{task['_id']}", daemon=False)
        self._over = threading.Event()
        self._interrupter = Interrupter(self._thread, scope.tree, scope.cancellation, self._over)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    @property
    def taken(self) -> bool:
        """Whether it was abandoned, and its thread has not ended yet."""
        return self._scope.cancellation.taken

    def _run(self) -> None:
        try:
            with self._scope.watcher.ringing("tasks", self._scope.root, self._look_for_cancellation):
                self._end(self._heard(self._outcome()))
        finally:
            self._over.set()
            self._on_end()

    def _look_for_cancellation(self) -> None:
        """What the document says; once it names another claim, or none, nothing is this attempt's to do any more."""
        fields = {"cancel_requested": 1, "claim": 1}
        document = self._scope.records.tasks.find_one({"_id": self._scope.root}, fields)
        claim = document["claim"] if document else None
        if document is None or claim is None or claim["token"] != self._scope.claim["token"]:
            self._scope.cancellation.take_away(f"Task {self._scope.root} was taken from this worker.")
        elif document["cancel_requested"] and self._scope.cancellation.request("It was cancelled."):
            self._interrupter.start()

    def _outcome(self) -> Document:
        log.info("%s %s starts, attempt %d.", self._label, self.task["type"], self._scope.attempt)
        try:
            patiently(self._look_for_cancellation)
            outcome = patiently(self._view).perform(task_class(self.task["type"]))
        except BaseException as error:  # a task may raise anything at all; it ends the task, never the worker
            outcome = failure(error, self._scope)
            log.warning("%s %s: %s", self._label, outcome["status"], error, exc_info=outcome["status"] == "ERROR")
            return outcome
        log.info("%s %s ends as %s.", self._label, self.task["type"], outcome["status"])
        return outcome

    def _heard(self, outcome: Document) -> Document:
        """The outcome, unless the task ended before it heard of its cancellation, as when its device was stopped."""
        try:
            patiently(self._look_for_cancellation)
        except PyMongoError:
            log.exception("%s ends without a last look at whether it was cancelled.", self._label)
        if not self._scope.cancellation.due:
            return outcome
        return {**outcome, "status": TaskStatus.CANCELLED, "reason": "It was cancelled."}

    def _view(self) -> TaskView:
        return TaskView(self._scope, self.task)

    def _end(self, outcome: Document) -> None:
        finishing = outcome["status"] != TaskStatus.COMPLETED and self._scope.leaves_samples()
        if not finishing:
            self._scope.release_everything()
        try:
            ours = self._write(outcome, finishing)
        except (BSONError, OperationFailure) as error:
            log.exception("%s ended as %s, which the database refuses.", self._label, outcome["status"])
            ours = self._write(failure(error, self._scope), finishing)
        if not ours:
            self._note_late_end(outcome["status"])

    def _note_late_end(self, status: str) -> None:
        log.warning("%s was not ours any more when it ended as %s.", self._label, status)
        if self._scope.note_late_end(status):
            self._scope.records.log("task.ended_late", self._scope.root, attempt=self._scope.attempt, outcome=status)

    def _write(self, outcome: Document, finishing: bool) -> bool:
        fields = _finishing(outcome) if finishing else outcome
        return self._scope.end(self._scope.root, fields, [self._scope.provenance(outcome["status"])])


def _finishing(outcome: Document) -> Document:
    """The attempt has ended; the task does when a person has taken its samples out, without a worker."""
    return {**outcome, "status": TaskStatus.FINISHING, "ends_as": outcome["status"], "claim": None, "ended_at": None}
