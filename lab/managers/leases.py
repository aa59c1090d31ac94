"""Workers that give no sign of life: people are told, and nothing is taken from them while their process is there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from lab.managers.bus import Manager
from lab.records import Records, Silence, Worker, now

BEATS: Final = 3
"""So many beats have to fail before a worker counts as unreachable."""

log = logging.getLogger(__name__)


class LeaseManager(Manager):
    """Marks a worker as unreachable whose beat stands still for ``patience`` seconds, until it goes on.

    How long is told by the clock of this process alone, and anew after it was held up itself: while the database does
    not answer nobody can give a sign of life, or see one.
    """

    def __init__(self, records: Records, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__("lease manager")
        self._records = records
        self._patience = patience
        self._interval = patience / BEATS
        self._clock = clock
        self._looked = clock()
        self._seen: dict[str, tuple[int, float]] = {}

    def reconcile(self) -> float | None:
        workers = list(self._records.workers.find({}))
        time_ = self._clock()
        if time_ - self._looked > 2 * self._interval:
            self._seen.clear()
        self._looked = time_
        self._seen = {worker["instance"]: self._look_at(worker, time_) for worker in workers}
        return self._interval

    def _look_at(self, worker: Worker, time_: float) -> tuple[int, float]:
        """Its beat, and since when it has been that."""
        beat, silence = worker["beat"], worker.get("unreachable")
        before = self._seen.get(worker["instance"])
        since = before[1] if before is not None and before[0] == beat else time_
        if silence is not None and silence["beat"] != beat:
            self._mark(worker, None, "worker.reachable")
        elif silence is None and time_ - since >= self._patience:
            self._mark(worker, Silence(since=now(), beat=beat), "worker.unreachable")
        return beat, since

    def _mark(self, worker: Worker, silence: Silence | None, kind: str) -> None:
        unchanged = {"_id": worker["_id"], "instance": worker["instance"], "beat": worker["beat"]}
        if self._records.workers.update_one(unchanged, {"$set": {"unreachable": silence}}).modified_count:
            log.warning("%s: %s", kind, worker["_id"])
            self._records.log(kind, worker["_id"], snapshot=worker["snapshot"])


def unreachable(records: Records) -> dict[str, datetime]:
    """The workers that give no sign of life -> since when."""
    silent = records.workers.find({"unreachable.beat": {"$exists": True}}, {"unreachable": 1})
    return {worker["_id"]: worker["unreachable"]["since"] for worker in silent if worker["unreachable"]}
