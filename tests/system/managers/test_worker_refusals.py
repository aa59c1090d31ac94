"""A worker that does not start is tried again, less and less often, and the reason is told once."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from hotswap.errors import DriftError
from hotswap.process import DeathWatch
from lab.catalog import Catalog
from lab.managers.bus import Bus
from lab.managers.workers import WorkerManager
from lab.records import Pin, Records

pytestmark = pytest.mark.system

NEW = "1" * 64
CURRENT = Pin(snapshot=NEW, generation=1, commit=None, dirty=False, environment="")


class Fleet:
    def __init__(self) -> None:
        self.reason: str | None = None
        self.asked = 0

    def ensure(self, snapshot: str) -> None:
        self.asked += 1
        if self.reason is not None:
            raise DriftError(f"{snapshot[:12]}: {self.reason}")


def test_why_no_worker_starts_is_told_once_and_tried_again_later_and_later(database: Database[dict[str, Any]]) -> None:
    records, fleet, watch = Records(database), Fleet(), DeathWatch()
    manager = WorkerManager(records, Catalog(records), Bus(database), watch, lambda: CURRENT, fleet.ensure)
    pauses = []

    for reason in ("library 1.0 -> 2.0", "library 1.0 -> 2.0", "library 1.0 -> 3.0", None, "library 1.0 -> 3.0"):
        fleet.reason = reason
        manager.reconcile()
        manager._starting[NEW].join()
        pauses.append(manager._pause(NEW))
        assert manager._woken.is_set() is (reason is None), "it looks again at once only after a success"
        manager._woken.clear()
    watch.close()
    assert fleet.asked == 5
    assert pauses == [2.0, 4.0, 8.0, 1.0, 2.0]
    told = [event["facts"]["reason"] for event in records.events.find({"kind": "worker.failed"})]
    assert [reason.partition("-> ")[2] for reason in told] == ["2.0", "3.0", "3.0"]
