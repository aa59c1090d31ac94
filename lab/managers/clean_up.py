"""Tasks whose code ended while samples stand in places they hold: a person takes them out, then all is released."""

from __future__ import annotations

from typing import Final

from lab.catalog import Catalog
from lab.managers.bus import Bus, Manager
from lab.prompts import OK, PROMPTS, Prompt, PromptCategory, Prompts, PromptStatus, new_prompt, settled_id
from lab.records import Document, Records, RequestStatus, Sample, Task, TaskStatus, now
from lab.samples import leaves_samples, samples_left, take_out, told

_OPEN: Final = {"status": RequestStatus.FULFILLED}


class CleanUpManager(Manager):
    """Asks a person on behalf of each FINISHING task, and ends it when that is answered or nothing is left of it."""

    def __init__(self, records: Records, bus: Bus) -> None:
        super().__init__("clean-up manager", pause=0.1)
        self._records = records
        self._prompts = Prompts(records)
        bus.subscribe("tasks", self.wake, {"status": {TaskStatus.FINISHING}})
        bus.subscribe("samples", self.wake, {"position"})
        bus.subscribe(PROMPTS, self.wake, {"status": {PromptStatus.ANSWERED}})

    def reconcile(self) -> float | None:
        self._each(self._records.tasks.find({"status": TaskStatus.FINISHING, "parent": None}), self._look_at)
        return None

    def _look_at(self, task: Task) -> None:
        left = samples_left(self._records, task["_id"])
        prompt_id = settled_id(PromptCategory.CLEAN_UP, task)
        prompt = self._prompts.find(prompt_id)
        if prompt is None and left:
            self._prompts.ask(_request(prompt_id, task, left))
        elif prompt is not None and prompt["status"] == PromptStatus.ANSWERED:
            take_out(self._records, left, task["_id"], task["attempt"], str(prompt["actor"]))
            self._end(task)
        elif not left:
            self._end(task)
            self._prompts.withdraw(prompt_id)  # not before: a sample that is put back would be nobody's any more

    def _end(self, task: Task) -> None:
        release = {"$set": {"status": RequestStatus.NEED_RELEASE}}
        self._records.requests.update_many({"task": task["_id"], **_OPEN}, release)
        ended: Document = {"status": task["ends_as"], "ended_at": now()}
        finishing = {"_id": task["_id"], "status": TaskStatus.FINISHING}
        if self._records.tasks.update_one(finishing, {"$set": ended}).modified_count:
            self._records.log("task.cleaned_up", task["_id"], status=task["ends_as"])


def ending(records: Records, catalog: Catalog, task: Task, status: TaskStatus) -> Document:
    """The fields of a task that ends in ``status``: FINISHING first, where its class has people take out samples."""
    if leaves_samples(records, task["_id"], catalog.policy(task, "clean_up")):
        return {"status": TaskStatus.FINISHING, "ends_as": status}
    return {"status": status, "ended_at": now()}


def _request(prompt_id: str, task: Task, left: list[Sample]) -> Prompt:
    text = (
        f"{task['type']} {task['_id']} stopped ({task['ends_as']}) and keeps what it holds: take out {told(left)}; "
        "answer when that is done."
    )
    about = {"task": task["_id"], "attempt": task["attempt"], "experiment": task["experiment"]}
    return new_prompt(PromptCategory.CLEAN_UP, text, OK, _id=prompt_id, **about)
