"""Wakes threads that wait for a document: one change stream for all threads of a process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from pymongo.database import Database
from pymongo.errors import PyMongoError

from lab.records import UNDECIDED, Document

log = logging.getLogger(__name__)

_AWAIT_MS: Final = 10_000
_REOPEN_SECONDS: Final = 1.0

Ring = Callable[[], None]


class Watcher:
    """Rings for changed documents of ``collections``; for tasks only when they were cancelled or taken away.

    A ring is a hint: who hears it looks at the document. After an interruption everybody is rung.
    """

    def __init__(self, database: Database[Document], *collections: str) -> None:
        self._database = database
        self._collections = collections
        self._rings: dict[tuple[str, str], list[Ring]] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ring no more; the thread ends when the client is closed or its present wait is over."""
        self._ended.set()

    @contextmanager
    def ringing(self, collection: str, key: str, ring: Ring) -> Iterator[None]:
        """Inside the block, call ``ring`` (quick, from the watching thread) when that document changes."""
        with self._lock:
            self._rings.setdefault((collection, key), []).append(ring)
        try:
            yield
        finally:
            with self._lock:
                self._rings[collection, key].remove(ring)
                if not self._rings[collection, key]:
                    del self._rings[collection, key]

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._ring_all()
                self._listen()
            except (PyMongoError, OSError) as error:
                if not self._ended.is_set():
                    log.info("The change stream is opened again: %s", error)
            self._ended.wait(_REOPEN_SECONDS)

    def _listen(self) -> None:
        pipeline = [{"$match": {"ns.coll": {"$in": list(self._collections)}}}]
        with self._database.watch(pipeline, max_await_time_ms=_AWAIT_MS) as stream:
            self._ring_all()
            while not self._ended.is_set():
                change = stream.try_next()
                if change is not None and "documentKey" in change and _is_news(change):
                    self._ring(change["ns"]["coll"], change["documentKey"]["_id"])

    def _ring(self, collection: str, key: str) -> None:
        with self._lock:
            rings = list(self._rings.get((collection, key), ()))
        for ring in rings:
            ring()

    def _ring_all(self) -> None:
        with self._lock:
            rings = [ring for several in self._rings.values() for ring in several]
        for ring in rings:
            ring()


def _is_news(change: Mapping[str, Any]) -> bool:
    """Workers change tasks all the time; only two changes of others matter to them."""
    if change["ns"]["coll"] != "tasks" or change["operationType"] == "replace":
        return True
    fields = change.get("updateDescription", {}).get("updatedFields", {})
    return "cancel_requested" in fields or fields.get("status") in UNDECIDED
