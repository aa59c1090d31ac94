"""The thread of one task: from its claim to its end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from bson.errors import BSONError
from pymongo.errors import OperationFailure

from lab.patience import patiently
from lab.records import Document, Task
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

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._scope.watcher.ringing("tasks", self._scope.root, self._look_for_cancellation):
                self._end(self._outcome())
        finally:
            self._on_end()

    def _look_for_cancellation(self) -> None:
        document = self._scope.records.tasks.find_one({"_id": self._scope.root}, {"cancel_requested": 1})
        if document is None or document["cancel_requested"]:
            self._scope.cancellation.request("It was cancelled.")

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

    def _view(self) -> TaskView:
        return TaskView(self._scope, self.task)

    def _end(self, outcome: Document) -> None:
        self._scope.release_everything()
        try:
            ours = self._write(outcome)
        except (BSONError, OperationFailure) as error:
            log.exception("%s ended as %s, which the database refuses.", self._label, outcome["status"])
            ours = self._write(failure(error, self._scope))
        if not ours:
            log.warning("%s was not ours any more when it ended as %s.", self._label, outcome["status"])

    def _write(self, outcome: Document) -> bool:
        return self._scope.end(self._scope.root, outcome, [self._scope.provenance(outcome["status"])])
