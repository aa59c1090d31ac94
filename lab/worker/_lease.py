"""A worker's document: what it can take, and a sign of life."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any, Final

from pymongo.errors import PyMongoError

from lab.patience import patiently
from lab.records import Records, Worker

log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 10.0


class Lease:
    """Keeps the worker's document while the process lives."""

    def __init__(self, records: Records, document: Worker, beat_seconds: float = BEAT_SECONDS) -> None:
        self._workers = records.workers
        self._document = document
        self._beat_seconds = beat_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    @property
    def worker(self) -> str:
        return self._document["_id"]

    @property
    def capacity(self) -> int:
        return self._document["capacity"]

    def start(self) -> None:
        """Publish the worker: from now on tasks are sent to it."""
        mine = {"_id": self._document["_id"]}
        patiently(lambda: self._workers.replace_one(mine, self._document, upsert=True))
        self._thread.start()

    def begun(self) -> None:
        """Count a task that runs."""
        self._update({"$inc": {"running": 1}})

    def ended(self, task: str, attempt: int) -> None:
        """Count a task that runs no more, and has not got stuck."""
        self._update({"$inc": {"running": -1}, "$pull": {"stuck": {"task": task, "attempt": attempt}}})

    def close(self) -> None:
        """Take no more tasks."""
        self._update({"$set": {"capacity": 0}})

    def end(self) -> None:
        """Withdraw the worker; call it when nothing runs."""
        self._ended.set()
        patiently(lambda: self._workers.delete_one({"_id": self._document["_id"]}))

    def _update(self, change: Mapping[str, Any]) -> None:
        patiently(lambda: self._workers.update_one({"_id": self._document["_id"]}, change))

    def _beat(self) -> None:
        while not self._ended.wait(self._beat_seconds):
            try:
                self._workers.update_one({"_id": self._document["_id"]}, {"$inc": {"beat": 1}})
            except PyMongoError as error:
                log.warning("No sign of life could be given: %s", error)
