"""How the managers learn that something changed: one change stream wakes the threads that care.

An event is only a hint. A manager that wakes looks at the documents as they are and makes them agree, so that
a lost, repeated or late event does no harm.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pymongo.database import Database
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from lab.managers.changes import Changes
from lab.records import Document, new_id

Wake = Callable[[], None]
_Item = TypeVar("_Item", bound=str | Mapping[str, object])
_Done = TypeVar("_Done")

_AWAIT_MS: Final = 10_000
_POLL_SECONDS: Final = 1.0
_LONGEST_DELAY: Final = 10.0
_NO_CHANGE_STREAMS: Final = 40573  # what a standalone mongod answers

log = logging.getLogger(__name__)


class Manager(ABC):
    """A thread that reconciles at its start, whenever it is woken, and when the last run asked for it.

    Between the starts of two runs are ``pause`` seconds at least: what wakes it meanwhile counts as one. ``_changes``
    is for those that read only what changed; after a run that failed, everything counts as changed.
    """

    def __init__(self, name: str, pause: float = 0.0) -> None:
        self._name = name
        self._rest = pause
        self._begun = -pause
        self._changes = Changes()
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._failures = 0
        self._incomplete = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def reconcile(self) -> float | None:
        """Make the documents agree; return in how many seconds to look again without an event, None for never.

        Runs on one thread only and may be run at any time. What it raises is logged, and it runs again.
        """

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Have it reconcile soon; many calls before that count as one."""
        self._woken.set()

    def reread(self) -> None:
        """Have it reconcile soon, whatever it knows."""
        self._changes.note_everything()
        self.wake()

    def stop(self) -> None:
        """End the thread after the run it is in."""
        self._ending.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()

    def _each(self, items: Iterable[_Item], act: Callable[[_Item], _Done]) -> list[_Done]:
        """Act on each document, or id of one; returns what that gave, without those where it failed.

        A failure is logged and does not stop the others; after this run the manager runs again as after any failure.
        """
        done = []
        for item in items:
            try:
                done.append(act(item))
            except ConnectionFailure:
                raise  # the others would fail alike, each after a wait of its own
            except Exception:  # whatever goes wrong with one document, the manager has to go on with the others
                log.exception("The %s could not deal with %s; it tries again.", self._name, _id(item))
                self._incomplete = True
        return done

    def _run(self) -> None:
        delay: float | None = 0.0
        while True:
            self._woken.wait(delay)
            self._ending.wait(max(0.0, self._begun + self._rest - time.monotonic()))
            self._woken.clear()
            if self._ending.is_set():
                return
            self._begun = time.monotonic()
            delay = self._attempt()

    def _attempt(self) -> float | None:
        delay: float | None = None
        self._incomplete = False
        try:
            delay = self.reconcile()
        except Exception:  # whatever went wrong, it may be gone when the manager runs again
            if not self._ending.is_set():
                log.exception("The %s could not reconcile; it tries again.", self._name)
            self._incomplete = True
        if not self._incomplete:
            self._failures = 0
            return delay
        self._failures += 1
        self._changes.note_everything()  # what was taken from it may not have been taken in
        return min(0.1 * 2.0 ** min(self._failures, 10), _LONGEST_DELAY, math.inf if delay is None else delay)


def _id(item: str | Mapping[str, object]) -> object:
    return item if isinstance(item, str) else item["_id"]


@dataclass(frozen=True)
class _Subscription:
    """``fields`` maps each field of interest to its values of interest, None for all of them."""

    wake: Wake
    fields: Mapping[str, Collection[Any] | None] | None
    changes: Changes | None = None

    def tell(self, event: Document) -> None:
        if self.changes is not None and "documentKey" not in event:
            self.changes.note_everything()  # the collection was dropped or renamed
        elif self.changes is not None:
            self.changes.note(event["ns"]["coll"], event["documentKey"]["_id"])
        self.wake()

    def tell_all(self) -> None:
        if self.changes is not None:
            self.changes.note_everything()
        self.wake()

    def concerns(self, event: Document) -> bool:
        """Whether the change touches a field of interest; a new or a deleted document touches all."""
        if self.fields is None:
            return True
        if event["operationType"] == "update":
            changes = event["updateDescription"]
            touched = {**changes["updatedFields"], **dict.fromkeys(changes["removedFields"])}
            return any(self._is_wanted(name.partition(".")[0], value) for name, value in touched.items())
        document = event.get("fullDocument")
        return document is None or all(self._may_be(name, document) for name in self.fields)

    def _is_wanted(self, field: str, value: Any) -> bool:
        assert self.fields is not None
        if field not in self.fields:
            return False
        values = self.fields[field]
        return values is None or value in values

    def _may_be(self, field: str, document: Document) -> bool:
        return field not in document or self._is_wanted(field, document[field])


class Bus:
    """One change stream over the database, on one thread; falls back to a poll where there are no change streams."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database
        self._subscriptions: dict[str, list[_Subscription]] = {"meta": []}
        self._ended = threading.Event()
        self._opened = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bus", daemon=True)

    def subscribe(
        self,
        collection: str,
        wake: Wake,
        fields: Collection[str] | Mapping[str, Collection[Any]] | None = None,
        changes: Changes | None = None,
    ) -> None:
        """Call ``wake`` after a change in ``collection``, of an update only when it touches one of ``fields``.

        A mapping also names the values to wake for; what a task goes through concerns everybody, but each step of it
        only a few. ``changes`` is told the ids of the documents. Subscribe before ``start``. After an interruption
        everybody is woken once, and everything counts as changed.
        """
        wanted = fields if fields is None or isinstance(fields, Mapping) else dict.fromkeys(fields)
        subscription = _Subscription(wake, wanted, changes)
        self._subscriptions.setdefault(collection, []).append(subscription)

    def start(self) -> None:
        """Start listening; no change after the return is missed."""
        self._thread.start()
        self._opened.wait(_LONGEST_DELAY)

    def stop(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._interrupt()
            self._thread.join(_POLL_SECONDS)

    def _interrupt(self) -> None:
        """A change of our own ends the wait for one."""
        try:
            self._database["meta"].update_one({"_id": "bus"}, {"$set": {"interrupt": new_id()}}, upsert=True)
        except PyMongoError as error:
            log.debug("The bus ends by itself: %s", error)

    def _run(self) -> None:
        delay = 0.0
        while not self._ended.wait(delay):
            try:
                self._listen()
                delay = 0.0
            except (PyMongoError, OSError) as error:
                delay = min(delay * 2 + 0.1, _LONGEST_DELAY)
                if isinstance(error, OperationFailure) and error.code == _NO_CHANGE_STREAMS:
                    delay = _POLL_SECONDS
                    self._wake_all()
                elif not self._ended.is_set():
                    log.warning("The change stream was interrupted and is opened again: %s", error)
                self._opened.set()

    def _listen(self) -> None:
        collections = {"$match": {"ns.coll": {"$in": sorted(self._subscriptions)}}}
        with self._database.watch([collections], max_await_time_ms=_AWAIT_MS) as stream:
            self._opened.set()
            self._wake_all()
            for event in stream:
                if self._ended.is_set():
                    return
                self._tell(event)

    def _tell(self, event: Any) -> None:
        for subscription in self._subscriptions.get(event.get("ns", {}).get("coll", ""), ()):
            if subscription.concerns(event):
                subscription.tell(event)

    def _wake_all(self) -> None:
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.tell_all()
