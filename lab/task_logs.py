"""Data that tasks logged, beside the tasks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from bson import ObjectId
from pymongo import ASCENDING

from lab.definitions import LogEntry
from lab.patience import patiently
from lab.plain import to_record
from lab.records import Document, Pin, Records, now

TASK_LOGS: Final = "task_logs"


class TaskLogs:
    """Of all tasks, the oldest first; each entry names the attempt and the code that wrote it."""

    def __init__(self, records: Records) -> None:
        self._collection = records.database[TASK_LOGS]

    def create_indexes(self) -> None:
        """Safe to repeat."""
        self._collection.create_index([("task", ASCENDING), ("at", ASCENDING)])

    def of(self, task: str, level: int = 0, within: timedelta | None = None) -> list[Document]:
        query: Document = {"task": task, "level": {"$gte": level}}
        if within is not None:
            query["at"] = {"$gte": now() - within}
        return patiently(lambda: list(self._collection.find(query, sort=[("_id", ASCENDING)])))

    def add(self, entry: Document) -> None:
        patiently(lambda: self._collection.replace_one({"_id": entry["_id"]}, entry, upsert=True))


class TaskLogBook:
    """Of one attempt at a task; implements ``lab.definitions.LogBook``."""

    def __init__(self, records: Records, task: str, attempt: int, pin: Pin) -> None:
        self._logs = TaskLogs(records)
        self._task = task
        self._code = {"attempt": attempt, **pin}

    def keep(self, kind: str, level: int, data: Mapping[str, Any]) -> None:
        plain = to_record(data, f"What task {self._task} logs")
        self._logs.add(
            {
                "_id": ObjectId(),
                "task": self._task,
                "kind": kind,
                "level": level,
                "data": plain,
                "at": now(),
                **self._code,
            }
        )

    def entries(self, level: int, within: timedelta | None) -> list[LogEntry]:
        found = self._logs.of(self._task, level, within)
        return [LogEntry(each["kind"], each["level"], each["data"], each["at"]) for each in found]
