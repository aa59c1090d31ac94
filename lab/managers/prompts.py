"""Prompts that nobody waits for any more are withdrawn: those of tasks that ended or were lost, and of dead drivers."""

from __future__ import annotations

from typing import Any, Final

from hotswap.process import DeathWatch, Identity
from lab.managers.bus import Bus, Manager
from lab.prompts import PROMPTS, Prompt, PromptCategory, Prompts, PromptStatus
from lab.records import CLAIMED, ENDED, UNDECIDED, Records, Task, TaskStatus

_WAITING: Final[dict[str, tuple[TaskStatus, ...]]] = {
    PromptCategory.QUESTION: CLAIMED,
    PromptCategory.CLEAN_UP: (*CLAIMED, TaskStatus.FINISHING),
    PromptCategory.CRASH: (TaskStatus.LOST,),
}
"""In which status a task waits for the answer to a prompt."""


class PromptManager(Manager):
    """Withdraws prompts; who asked and waits withdraws its own, so this is for those who cannot any more."""

    def __init__(self, records: Records, bus: Bus, watch: DeathWatch) -> None:
        super().__init__("prompt manager", pause=0.25)
        self._records = records
        self._prompts = Prompts(records)
        self._watch = watch
        self._watched: set[Identity] = set()
        left = {TaskStatus.READY, TaskStatus.INITIATED, *UNDECIDED, TaskStatus.FINISHING, *ENDED}
        bus.subscribe("tasks", self.wake, {"status": left})
        bus.subscribe(PROMPTS, self.wake, {"status": {PromptStatus.PENDING}})

    def reconcile(self) -> float | None:
        pending = self._prompts.pending()
        tasks = self._tasks_of(pending)

        def look_at(prompt: Prompt) -> None:
            awaited = self._lives(prompt) if prompt["task"] is None else _waits(prompt, tasks.get(prompt["task"]))
            if not awaited:
                self._prompts.withdraw(prompt["_id"])

        self._each(pending, look_at)
        return None

    def _tasks_of(self, prompts: list[Prompt]) -> dict[str, Task]:
        # After the prompts: who asked was at work when the prompt was written, and is found as it is now.
        names = sorted({prompt["task"] for prompt in prompts if prompt["task"] is not None})
        if not names:
            return {}
        query: dict[str, Any] = {"_id": {"$in": names}}
        return {task["_id"]: task for task in self._records.tasks.find(query, {"status": 1, "attempt": 1})}

    def _lives(self, prompt: Prompt) -> bool:
        """Whether the process of a device that asked lives; it is watched from then on."""
        if prompt["process"] is None:
            return False
        identity = Identity.from_dict(prompt["process"])
        if identity.alive() and identity not in self._watched:
            self._watched.add(identity)
            self._watch.watch(identity, self.wake)
        return identity.alive()


def _waits(prompt: Prompt, task: Task | None) -> bool:
    return task is not None and task["attempt"] == prompt["attempt"] and task["status"] in _WAITING[prompt["category"]]
