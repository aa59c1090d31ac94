"""What devices measured when: signals, written by driver processes and tasks, read by all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict

from bson import ObjectId
from pymongo import ASCENDING, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from lab.definitions import Reading
from lab.patience import patiently
from lab.records import Document, Records, now

SIGNALS: Final = "signals"
LATEST: Final = "latest_signals"

_DUPLICATE: Final = 11000


class Signal(TypedDict):
    """One value; times are of the process that read it."""

    _id: ObjectId
    device: str
    name: str
    value: Any
    at: datetime


def new_signal(device: str, name: str, value: Any) -> Signal:
    """A value that was read now."""
    return Signal(_id=ObjectId(), device=device, name=name, value=value, at=now())


class Signals:
    """The latest value of each stands in a collection of its own too: to find it must not read the others."""

    def __init__(self, records: Records) -> None:
        self._all: Collection[Document] = records.database[SIGNALS]
        self._latest: Collection[Document] = records.database[LATEST]

    def create_indexes(self) -> None:
        """Safe to repeat."""
        self._all.create_index([("device", ASCENDING), ("name", ASCENDING), ("at", ASCENDING)])
        self._latest.create_index([("device", ASCENDING)])

    def write(self, signals: Sequence[Signal]) -> None:
        """Keep values, in the order in which they were read; safe to repeat."""
        newest = {f"{each['device']}/{each['name']}": each for each in signals}
        self._latest.bulk_write(
            [UpdateOne({"_id": key}, {"$set": _facts(each)}, upsert=True) for key, each in newest.items()]
        )
        try:
            self._all.insert_many(({**each} for each in signals), ordered=False)  # ten times as fast as upserts
        except BulkWriteError as error:
            if any(each["code"] != _DUPLICATE for each in error.details["writeErrors"]):
                raise

    def latest(self, device: str, name: str | None = None) -> list[Reading]:
        """The last value of one signal, or of all of a device in the order of their names; empty if there is none."""
        query = {"device": device} if name is None else {"_id": f"{device}/{name}"}
        found = patiently(lambda: list(self._latest.find(query)))
        return sorted(map(_reading, found), key=lambda reading: reading.name)

    def since(self, device: str, name: str | None, within: timedelta, limit: int = 0) -> list[Reading]:
        """The values of the time span before now, the oldest first; at most ``limit`` unless that is 0."""
        query: Document = {"device": device, "at": {"$gte": now() - within}}
        if name is not None:
            query["name"] = name
        found = patiently(lambda: list(self._all.find(query, sort=[("at", ASCENDING)]).limit(limit)))
        return list(map(_reading, found))

    def forget(self, before: datetime) -> int:
        """Delete the values of before; how many there were. The latest of each stays known."""
        return sum(
            self._all.delete_many({"device": each["device"], "name": each["name"], "at": {"$lt": before}}).deleted_count
            for each in self._latest.find({}, {"device": 1, "name": 1})
        )


def _facts(signal: Signal) -> Document:
    return {"device": signal["device"], "name": signal["name"], "value": signal["value"], "at": signal["at"]}


def _reading(document: Document) -> Reading:
    return Reading(document["device"], document["name"], document["value"], document["at"])
