"""Cancelled tasks that do not end: once their time is up, they are killed if they have a process for themselves.

Others are ABANDONED, and all they hold is kept for a person.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from hotswap.errors import HotswapError
from lab.catalog import Catalog
from lab.managers.bus import Bus, Manager
from lab.managers.claims import take
from lab.managers.isolation import end_killed
from lab.records import CLAIMED, Records, RequestStatus, Stuck, Task, TaskStatus

_RETRY_SECONDS: Final = 5.0

Revoke = Callable[[str, str | None], object]

log = logging.getLogger(__name__)


class AbandonmentManager(Manager):
    """Gives each cancelled task ``grace`` seconds, by the clock of this process and anew after a restart of it.

    ``revoke`` takes a device, if it is still held for that request, away at its driver. ``kill`` ends the process that
    a task has for itself, and the task with it: it is not abandoned. Both may raise HotswapError.
    """

    def __init__(
        self,
        records: Records,
        catalog: Catalog,
        bus: Bus,
        grace: float,
        revoke: Revoke,
        kill: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("abandonment manager", pause=0.1)
        self._records = records
        self._catalog = catalog
        self._grace = grace
        self._revoke = revoke
        self._kill = kill
        self._clock = clock
        self._since: dict[str, float] = {}
        self._revoked: set[str] = set()
        bus.subscribe("tasks", self.wake, {"cancel_requested": {True}, "status": {TaskStatus.ABANDONED}})

    def reconcile(self) -> float | None:
        remaining = self._each(self._cancelled(), self._look_at)
        abandoned = list(self._records.tasks.find({"status": TaskStatus.ABANDONED}))
        self._revoked &= {_attempt(task) for task in abandoned}
        revoked = self._each(abandoned, self._revoke_all)
        delays = [each for each in remaining if each is not None] + ([] if all(revoked) else [_RETRY_SECONDS])
        return min(delays, default=None)

    def _cancelled(self) -> list[Task]:
        """Those that were asked to end and have not yet."""
        asked = {"status": {"$in": list(CLAIMED)}, "cancel_requested": True, "parent": None, "claim": {"$ne": None}}
        tasks = list(self._records.tasks.find(asked))
        now = self._clock()
        self._since = {token: self._since.get(token, now) for token in map(_token, tasks)}
        return tasks

    def _look_at(self, task: Task) -> float | None:
        """Seconds until its time is up, or until that is tried again; None once the task is killed or abandoned."""
        remaining = self._since[_token(task)] + self._grace - self._clock()
        if remaining > 0:
            return remaining
        if (process := _process(task)) is not None:
            return self._end_process(task, process)
        if abandon(self._records, task, f"It was cancelled and did not end within {self._grace:g} s"):
            log.warning("Task %s did not end within %g s and is abandoned.", task["_id"], self._grace)
            self.wake()
        return None

    def _end_process(self, task: Task, process: str) -> float | None:
        log.warning("Task %s did not end within %g s; its process is killed.", task["_id"], self._grace)
        try:
            self._kill(process)
        except (HotswapError, OSError) as error:
            log.warning("%s was not killed and is tried again: %s", process, error)
            return _RETRY_SECONDS
        end_killed(self._records, self._catalog, task)
        return None

    def _revoke_all(self, task: Task) -> bool:
        """Have the drivers refuse whatever its code still calls; False to try again."""
        if _attempt(task) in self._revoked:
            return True
        try:
            for device in self._records.devices.find({"holder": task["_id"]}, {"request": 1}):
                self._revoke(device["_id"], device["request"])
        except (HotswapError, OSError) as error:
            _say(self._records, task, f"{_ABANDONED} {error}")
            return False
        self._revoked.add(_attempt(task))
        return True


_ABANDONED: Final = "It was cancelled and did not end; retry or cancel it."


def abandon(records: Records, task: Task, reason: str) -> bool:
    """Take a task from its worker, which goes on to run its code; it keeps pin, devices and places.

    Whether it was still claimed.
    """
    claim, pin = task["claim"], task["pin"]
    assert claim is not None
    assert pin is not None
    # Before the status: from then on, what its code does has no effect, and these two are about what it does.
    records.requests.update_many(_granted(task), {"$set": {"kept": True}})
    stuck = Stuck(task=task["_id"], attempt=task["attempt"])
    records.workers.update_one({"_id": claim["worker"]}, {"$addToSet": {"stuck": stuck}})
    fields = {"status": TaskStatus.ABANDONED, "message": f"{reason}; retry or cancel it."}
    if not take(records, task, TaskStatus.ABANDONED, fields, "Its parent was abandoned."):
        records.workers.update_one({"_id": claim["worker"]}, {"$pull": {"stuck": stuck}})
        return False
    records.log("task.abandoned", task["_id"], worker=claim["worker"], snapshot=pin["snapshot"])
    return True


def _say(records: Records, task: Task, message: str) -> None:
    query = {"_id": task["_id"], "status": TaskStatus.ABANDONED, "attempt": task["attempt"]}
    records.tasks.update_one(query, {"$set": {"message": message}})


def _granted(task: Task) -> dict[str, Any]:
    return {"task": task["_id"], "attempt": task["attempt"], "status": RequestStatus.FULFILLED}


def _process(task: Task) -> str | None:
    return task["claim"].get("process") if task["claim"] is not None else None


def _attempt(task: Task) -> str:
    return f"{task['_id']} {task['attempt']}"


def _token(task: Task) -> str:
    assert task["claim"] is not None
    return task["claim"]["token"]
