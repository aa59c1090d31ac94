"""What changes in a database while it is copied, by its change stream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pymongo.change_stream import DatabaseChangeStream
from pymongo.database import Database
from pymongo.errors import OperationFailure

from lab.records import Document, new_id

_PATIENCE_SECONDS: Final = 30.0
_MARK: Final = {"_id": "backup"}

Key = tuple[str, Any]


class Changes:
    """Tells since when it was opened, and after that since it was last asked, which documents changed."""

    def __init__(self, database: Database[Document], stream: DatabaseChangeStream[Document]) -> None:
        self._meta = database["meta"]
        self._stream = stream

    def since_then(self) -> set[Key]:
        """Collection and id of each document that was written or deleted up to now."""
        mark = new_id()
        self._meta.update_one(_MARK, {"$set": {"mark": mark}}, upsert=True)
        found: set[Key] = set()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            event = self._stream.try_next()
            if event is None or "documentKey" not in event:
                continue
            key = event["ns"]["coll"], event["documentKey"]["_id"]
            if key == ("meta", _MARK["_id"]):
                if _marks(event, mark):
                    return found
                continue
            found.add(key)
        raise TimeoutError("the change stream of the database does not keep up")


@contextmanager
def watched(database: Database[Document]) -> Iterator[Changes | None]:
    """The changes from now on; None where the database has no change streams."""
    try:
        stream = database.watch(max_await_time_ms=1_000)
    except OperationFailure:
        yield None
        return
    with stream:
        yield Changes(database, stream)


def _marks(event: Document, mark: str) -> bool:
    updated = event.get("updateDescription", {}).get("updatedFields", {})
    return mark in (updated.get("mark"), (event.get("fullDocument") or {}).get("mark"))
