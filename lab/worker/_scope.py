"""What a running task and all its subtasks have in common."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.drivers.client import Caller
from lab.errors import TaskCancelled
from lab.patience import patiently
from lab.records import CLAIMED, Attempt, Claim, Pin, Records, RequestStatus, TaskStatus, ended_attempt, now
from lab.results.result_files import ResultFiles
from lab.samples import leaves_samples
from lab.watching import Watcher
from lab.worker._cancellation import Cancellation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scope:
    """One attempt at a task. ``root`` is its id: it holds the devices and places for its subtasks, too.

    ``refuse_results``: one that is not as the task promises is an error.
    ``clean_up`` is what its class says.
    """

    records: Records
    watcher: Watcher
    cancellation: Cancellation
    root: str
    experiment: str
    claim: Claim
    pin: Pin
    caller: Caller
    tree: Path
    files: ResultFiles
    refuse_results: bool
    clean_up: str = "release"

    @property
    def attempt(self) -> int:
        return self.caller.attempt

    def change(self, task: str, **fields: Any) -> None:
        """Set fields of the task or a subtask that is still in our hands; raises TaskCancelled when it is not."""
        ours = {"_id": task, "claim.token": self.claim["token"], "status": {"$in": CLAIMED}}
        if not patiently(lambda: self.records.tasks.update_one(ours, {"$set": fields})).matched_count:
            raise TaskCancelled(f"Task {task} was taken from this worker.")

    def end(self, task: str, outcome: Mapping[str, Any], attempts: list[Attempt] | None = None) -> bool:
        """Write how the task or a subtask ended; whether it was still ours to end."""
        ours = {"_id": task, "claim.token": self.claim["token"], "status": {"$in": CLAIMED}}
        change = {"$set": {"ended_at": now(), **outcome}, "$push": {"attempts": {"$each": attempts or []}}}
        return bool(patiently(lambda: self.records.tasks.update_one(ours, change)).matched_count)

    def leaves_samples(self) -> bool:
        """Whether a person has to take samples out before what the task holds is released."""
        return patiently(lambda: leaves_samples(self.records, self.root, self.clean_up))

    def release_everything(self) -> None:
        """Give back what this attempt requested and still holds or waits for."""
        mine: dict[str, Any] = {"task": self.root, "attempt": self.attempt, "kept": {"$ne": True}}
        left = {**mine, "status": {"$in": list(_GIVING_BACK)}}
        if patiently(lambda: self.records.requests.find_one(left, {"_id": 1})) is not None:
            for before, after in _GIVING_BACK.items():
                self._settle({**mine, "status": before}, after)

    def note_late_end(self, outcome: str) -> bool:
        """Tell who has to decide on an abandoned task that its code has ended; whether it was this attempt."""
        ours = {"_id": self.root, "status": TaskStatus.ABANDONED, "attempt": self.attempt}
        message = f"It was abandoned, and its code ended since then ({outcome}); retry or cancel it."
        change = {"$set": {"message": message}}
        return bool(patiently(lambda: self.records.tasks.update_one(ours, change)).matched_count)

    def _settle(self, mine: dict[str, Any], status: RequestStatus) -> None:
        patiently(lambda: self.records.requests.update_many(mine, {"$set": {"status": status}}))

    def provenance(self, status: TaskStatus) -> Attempt:
        """The entry of this attempt in the task's history."""
        return ended_attempt(self.attempt, self.pin, self.claim["worker"], self.claim["at"], status)


_GIVING_BACK = {
    RequestStatus.PENDING: RequestStatus.CANCELLED,
    RequestStatus.FULFILLED: RequestStatus.NEED_RELEASE,
}
