"""What devices were told to do, say and measure, written to the database in batches beside the calls themselves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from bson.errors import BSONError
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from lab.records import Document, Records
from lab.signals import Signal, Signals

log = logging.getLogger(__name__)

_Entry = TypeVar("_Entry")

_GATHER: Final = 0.1
_RETRY: Final = 1.0
_MOST_KEPT: Final = 20_000


class Journal:
    """Takes entries without delay and writes them within 0.2 s, on a thread of its own; ``close`` writes the rest.

    While the database cannot be reached entries are kept, the oldest of very many are dropped. ``open_records``
    is called on that thread at the first entry; ``common`` then reads what is noted with every call.
    """

    def __init__(
        self, open_records: Callable[[], Records], common: Callable[[Records], Document] = lambda _: {}
    ) -> None:
        self._open = open_records
        self._read_common = common
        self._records: Records | None = None
        self._common: Document | None = None
        self._calls: list[Document] = []
        self._signals: list[Signal] = []
        self._messages: dict[str, str] = {}
        self._arrived = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def call(self, entry: Document) -> None:
        with self._lock:
            self._calls.append(entry)
            del self._calls[:-_MOST_KEPT]
        self._arrived.set()

    def signal(self, signal: Signal) -> None:
        with self._lock:
            self._signals.append(signal)
            del self._signals[:-_MOST_KEPT]
        self._arrived.set()

    def message(self, device: str, text: str) -> None:
        with self._lock:
            self._messages[device] = text
        self._arrived.set()

    def close(self) -> None:
        """Write what is left, waiting a few seconds at most."""
        self._closing.set()
        self._arrived.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._arrived.wait()
            self._arrived.clear()
            self._closing.wait(_GATHER)
            while not self._flush() and not self._closing.wait(_RETRY):
                pass

    def _flush(self) -> bool:
        with self._lock:
            calls, self._calls = self._calls, []
            signals, self._signals = self._signals, []
            messages, self._messages = self._messages, {}
        try:
            self._write(calls, signals, messages)
        except PyMongoError as error:
            log.warning("The journal of device calls waits for the database: %s", error)
            with self._lock:
                self._calls[:0] = calls
                self._signals[:0] = signals
                self._messages = messages | self._messages
            return False
        return True

    def _write(self, calls: list[Document], signals: list[Signal], messages: dict[str, str]) -> None:
        """Last the calls, which alone cannot be written twice."""
        if not (calls or signals or messages):
            return
        if self._records is None:
            self._records = self._open()
        records = self._records
        told = [UpdateOne({"_id": device}, {"$set": {"message": text}}) for device, text in messages.items()]
        self._attempt(told, records.devices.bulk_write)
        self._attempt(signals, lambda some: Signals(records).write(some))
        self._attempt(calls, partial(self._write_calls, records))

    def _attempt(self, entries: list[_Entry], write: Callable[[list[_Entry]], object]) -> None:
        try:
            if entries:
                write(entries)
        except (BulkWriteError, BSONError, ValueError):
            # Written by an earlier try whose answer was lost, or not writable at all: no use in trying again.
            log.exception("Some entries are not in the journal, or are there already.")

    def _write_calls(self, records: Records, calls: list[Document]) -> None:
        if self._common is None:
            self._common = self._read_common(records)
        for call in calls:
            call.update(self._common)  # in place: one that is written twice has to keep its id
        records.calls.insert_many(calls, ordered=False)
