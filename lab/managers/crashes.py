"""Tasks whose worker died: run again, ended, or put before a person, as their class says."""

from __future__ import annotations

import logging
from typing import Final

from lab.catalog import Catalog
from lab.managers.bus import Bus, Manager
from lab.managers.commands import Commands
from lab.prompts import PROMPTS, Prompt, PromptCategory, Prompts, PromptStatus, new_prompt, settled_id
from lab.records import Records, Task, TaskStatus
from lab.refusals import ConflictError, NotFoundError

RETRIES: Final = 3
"""So often a task is run again by itself; then a person is asked."""

_RETRY_SECONDS: Final = 5.0
_OPTIONS: Final = ("retry", "abort")

log = logging.getLogger(__name__)


class CrashManager(Manager):
    """Decides on LOST tasks, or has a person decide; ``commands`` carries the decision out."""

    def __init__(self, records: Records, catalog: Catalog, bus: Bus, commands: Commands) -> None:
        super().__init__("crash manager")
        self._records = records
        self._catalog = catalog
        self._commands = commands
        self._prompts = Prompts(records)
        bus.subscribe("tasks", self.wake, {"status": {TaskStatus.LOST}})
        bus.subscribe(PROMPTS, self.wake, {"status": {PromptStatus.ANSWERED}})

    def reconcile(self) -> float | None:
        lost = self._records.tasks.find({"status": TaskStatus.LOST, "parent": None})
        decided = self._each(lost, self._look_at)
        return None if all(decided) else _RETRY_SECONDS

    def _look_at(self, task: Task) -> bool:
        """Carry out what is decided; False when it has to be tried again."""
        decision, actor = self._decision(task)
        try:
            if decision == "retry":
                self._commands.retry(task["_id"], actor)
            elif decision == "abort":
                self._commands.cancel_task(task["_id"], actor)
        except (ConflictError, NotFoundError) as error:  # a driver that does not answer, or somebody was faster
            log.warning("Task %s is LOST and cannot be decided on (%s) now: %s", task["_id"], decision, error)
            return False
        return True

    def _decision(self, task: Task) -> tuple[str, str]:
        """What is to be done, and who says so."""
        policy = self._catalog.policy(task, "on_crash")
        losses = sum(attempt["outcome"] == TaskStatus.LOST for attempt in task["attempts"])
        if policy == "abort" or (policy == "retry" and losses <= RETRIES):
            return policy, f'on_crash = "{policy}"'
        return self._answer(task)

    def _answer(self, task: Task) -> tuple[str, str]:
        """What a person decided; who was not asked yet is asked now."""
        prompt = self._prompts.find(settled_id(PromptCategory.CRASH, task))
        if prompt is None:
            self._prompts.ask(_question(task))
        elif prompt["status"] == PromptStatus.ANSWERED:
            return str(prompt["answer"]), str(prompt["actor"])
        return "", ""


def _question(task: Task) -> Prompt:
    text = f"The worker of {task['type']} {task['_id']} died in the middle of it: look how far it got, then decide."
    about = {"task": task["_id"], "attempt": task["attempt"], "experiment": task["experiment"]}
    return new_prompt(PromptCategory.CRASH, text, _OPTIONS, _id=settled_id(PromptCategory.CRASH, task), **about)
