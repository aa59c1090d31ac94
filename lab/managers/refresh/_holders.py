"""Who has a device that has to be rebound, since when, with which samples in it, and until when that may go on."""

from __future__ import annotations

from datetime import datetime, timedelta
from statistics import median
from typing import Final

from pymongo import DESCENDING

from lab.records import UNDECIDED, DeviceState, Document, Records, Task, TaskStatus

_LOOKED_AT: Final = 100


def holder_of(records: Records, name: str) -> Document:
    """``holder`` None means that nobody does, and the device is rebound at once, unless it is ``paused``.

    ``expected_until`` is None where no task of that type ever completed, and while one waits for a decision.
    ``estimated_from`` counts the attempts that it is told from.
    """
    device: Document = dict(records.devices.find_one({"_id": name}) or {})
    holder = device.get("holder") if device.get("state") == DeviceState.GRANTED else None
    task = records.tasks.find_one({"_id": holder}) if holder else None
    return {
        "device": name,
        "paused": bool(device.get("paused")),
        "holder": holder,
        "task": task["type"] if task else None,
        "status": task["status"] if task else None,
        "since": task["started_at"] if task else None,
        "samples": _samples(records, name),
        **_expectation(records, task),
    }


def _samples(records: Records, device: str) -> list[Document]:
    """``{id, name, position}`` of what stands in it now."""
    places = [place["_id"] for place in records.positions.find({"device": device}, {"_id": 1})]
    standing = records.samples.find({"position": {"$in": places}}, sort=[("position", 1)])
    return [{"id": each["_id"], "name": each["name"], "position": each["position"]} for each in standing]


def _expectation(records: Records, task: Task | None) -> Document:
    began = task["started_at"] if task and task["status"] not in UNDECIDED else None
    if task is None or began is None:
        return {"expected_until": None, "estimated_from": 0}
    durations = _durations(records, task["type"])
    until: datetime | None = began + timedelta(seconds=median(durations)) if durations else None
    return {"expected_until": until, "estimated_from": len(durations)}


def _durations(records: Records, kind: str) -> list[float]:
    """Seconds that the newest completed attempts at tasks of this type took."""
    completed = {"type": kind, "status": TaskStatus.COMPLETED}
    tasks = records.tasks.find(completed, {"attempts": 1}, sort=[("ended_at", DESCENDING)]).limit(_LOOKED_AT)
    attempts = (attempt for task in tasks for attempt in task["attempts"])
    return [
        (attempt["ended_at"] - attempt["started_at"]).total_seconds()
        for attempt in attempts
        if attempt["outcome"] == TaskStatus.COMPLETED and attempt["started_at"] is not None
    ]
