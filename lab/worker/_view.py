"""The laboratory as a running task sees it; implements ``lab.definitions.LabView``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any

from lab.definitions import BaseTask, Reading, Resources, TaskLogger, make_task, registry
from lab.errors import ResourceError, TaskCancelled
from lab.patience import patiently
from lab.plain import to_record
from lab.prompts import OK, PromptCategory
from lab.records import PRIORITIES, Document, Task, TaskStatus, new_task, now
from lab.results.large_result import is_reference
from lab.samples import told
from lab.signals import Signals
from lab.task_logs import TaskLogBook
from lab.tracebacks import relative_traceback, sentence
from lab.worker._asking import ask
from lab.worker._request import ResourceRequest, Wanted
from lab.worker._result import ResultRefusedError, returned
from lab.worker._samples import Samples, SeenSample
from lab.worker._scope import Scope
from lab.worker._signals import log_device_signal
from lab.worker._uploads import Uploads


class TaskView:
    """Of one task or subtask; see ``LabView`` for what the methods promise."""

    def __init__(self, scope: Scope, task: Task) -> None:
        self._scope = scope
        self._task = task
        self._samples = Samples(scope.records, task["samples"], scope.root, scope.attempt, scope.pin)
        self._stored: dict[str, Any] = {}
        self._uploads = Uploads(scope.files, task["_id"], scope.experiment)

    @property
    def task_id(self) -> str:
        return self._task["_id"]

    @cached_property
    def logger(self) -> TaskLogger:
        scope = self._scope
        book = TaskLogBook(scope.records, self.task_id, self._task["attempt"], scope.pin)
        return TaskLogger(self.task_id, scope.pin["snapshot"], book)

    def perform(self, cls: type[BaseTask]) -> Document:
        """Build the task, validate it and run it; returns how it ended, as fields of its record."""
        try:
            ended = returned(cls, self._run(cls), refuse=self._scope.refuse_results)
        except BaseException:  # whatever it is, of what was stored only what update_result told stays
            self._uploads.keep_only(self._stored)
            raise
        self._uploads.keep_only(ended["result"])
        return ended

    def _run(self, cls: type[BaseTask]) -> Any:
        task = make_task(cls, self._task["parameters"], self._samples.names, self.task_id, self)
        if task.validate() is False:
            raise ValueError(f"{cls.__name__}.validate() refused the parameters {self._task['parameters']}.")
        self._scope.cancellation.check()
        return self._with_stored(self._uploads.record(task.run(), f"The result of {cls.__name__}"))

    @contextmanager
    def request_resources(
        self, resources: Wanted, priority: int | None = None, timeout: float | None = None
    ) -> Iterator[Resources]:
        urgency = self._task["priority"] if priority is None else priority
        request = ResourceRequest(self._scope, self.task_id, resources, urgency)
        grant = request.obtain(timeout)
        try:
            yield request.devices(grant), request.places(grant)
        except BaseException:  # whatever it is: who takes samples out must find everything as it is
            request.close()
            if not self._scope.leaves_samples():
                request.release()
            raise
        request.release()

    def log_device_signal(self, device: str, name: str, value: Any) -> None:
        log_device_signal(self._scope.records, device, name, value)

    def get_latest_device_signal(self, device: str, name: str) -> Reading | None:
        return next(iter(Signals(self._scope.records).latest(device, name)), None)

    def device_signals(self, device: str, name: str, within: timedelta) -> list[Reading]:
        return Signals(self._scope.records).since(device, name, within)

    def move_sample(self, sample: str, position: str | None) -> None:
        self._scope.cancellation.check()
        self._samples.move(sample, position)

    def get_sample(self, sample: str) -> SeenSample:
        return self._samples.get(sample)

    @property
    def priority(self) -> int:
        return self._task["priority"]

    @priority.setter
    def priority(self, priority: int) -> None:
        if not isinstance(priority, int) or isinstance(priority, bool) or priority not in PRIORITIES:
            raise ValueError(f"A priority is a whole number from 0 to {PRIORITIES[-1]}, not {priority!r}.")
        self._scope.change(self.task_id, priority=int(priority))
        self._task["priority"] = int(priority)

    def run_subtask(self, task: type[BaseTask] | str, samples: Sequence[str] | None = None, **parameters: Any) -> Any:
        self._scope.cancellation.check()
        cls = task_class(task) if isinstance(task, str) else task
        document = self._subtask(cls, samples, parameters)
        patiently(lambda: self._scope.records.tasks.replace_one({"_id": document["_id"]}, document, upsert=True))
        try:
            ended = TaskView(self._scope, document).perform(cls)
        except BaseException as error:  # whatever the parent makes of it, the subtask has ended
            self._scope.end(document["_id"], failure(error, self._scope))
            raise
        self._scope.end(document["_id"], ended)
        if ended["status"] == TaskStatus.ERROR:
            raise ResultRefusedError(ended["error"])
        return ended["result"]

    def update_sample_metadata(self, sample: str, metadata: Mapping[str, Any]) -> None:
        self._samples.annotate(sample, metadata)

    def get_locked_sample_positions(self) -> list[str]:
        return self._samples.held()

    def get_sample_position_parent_device(self, position: str) -> str | None:
        return self._samples.device_of(position)

    def request_cleanup(self) -> None:
        left = self._samples.left()
        if left:
            who = f"{self._task['type']} {self._scope.root}"
            asked = f"{who} asks you to take out {told(left)}; answer when that is done."
            self._samples.take_out(left, str(ask(self._scope, asked, OK, PromptCategory.CLEAN_UP)["actor"]))

    def update_result(self, name: str, value: Any) -> None:
        stored = {**self._stored, **self._uploads.record({name: value}, "The result")}
        self._scope.change(self.task_id, result=stored)
        self._stored = stored

    def set_message(self, message: str) -> None:
        self._scope.change(self.task_id, message=str(message))

    def set_progress(self, fraction: float, message: str | None = None) -> None:
        if not 0 <= fraction <= 1:
            raise ValueError(f"Progress is a number from 0 to 1, not {fraction!r}.")
        told = {} if message is None else {"message": str(message)}
        self._scope.change(self.task_id, progress=float(fraction), **told)

    def sleep(self, seconds: float) -> None:
        self._scope.cancellation.sleep(seconds)

    def request_user_input(self, prompt: str, options: Sequence[str] = OK) -> str:
        return self.request_user_input_with_note(prompt, options)[0]

    def request_user_input_with_note(self, prompt: str, options: Sequence[str] = OK) -> tuple[str, str]:
        answered = ask(self._scope, prompt, options)
        return str(answered["answer"]), answered["note"]

    def _with_stored(self, result: Any) -> Any:
        if not self._stored:
            return result
        if result is None:
            return self._stored
        whole = isinstance(result, Mapping) and not is_reference(result)
        return {**self._stored, **(result if whole else {"returned": result})}

    def _subtask(self, cls: type[BaseTask], samples: Sequence[str] | None, parameters: dict[str, Any]) -> Task:
        document = new_task(
            cls.__name__,
            to_record(parameters, f"A parameter of {cls.__name__}"),
            samples=self._task["samples"] if samples is None else self._samples.ids(list(samples)),
            experiment=self._scope.experiment,
            parent=self.task_id,
            priority=self._task["priority"],
        )
        document["status"], document["started_at"], document["attempt"] = TaskStatus.RUNNING, now(), 1
        document["pin"], document["claim"] = self._scope.pin, self._scope.claim
        return document


def task_class(name: str) -> type[BaseTask]:
    """The class that is registered under a name. Raises ResourceError."""
    if name not in registry.tasks:
        raise ResourceError(f"This version of the lab has no task type {name!r}.")
    return registry.tasks[name].cls


def failure(error: BaseException, scope: Scope) -> Document:
    """How a task ended that raised ``error``: one sentence, then where."""
    if isinstance(error, TaskCancelled):
        return {"status": TaskStatus.CANCELLED, "reason": str(error) or "It was cancelled."}
    told = f"{sentence(error, scope.tree)}\n\n{relative_traceback(error, scope.tree)}"
    return {"status": TaskStatus.ERROR, "error": told}
