"""What leaves the lab's database for being old: events, calls, alarms; and experiments, once they are archived."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from lab.archiving.archive import ABOUT_TASKS, Archive, is_archived
from lab.records import ExperimentStatus, Records, now
from lab.results.result_files import ResultFiles
from lab.settings.keeping import Retention


def sweep(records: Records, settings: Retention, archive: Archive) -> dict[str, int]:
    """Delete what is older than ``settings`` says; how much of each kind."""
    gone: dict[str, int] = {}
    if (before := _before(settings.events_days)) is not None:
        gone["events"] = _delete_events(records, before)
        gone["alarms"] = records.database["alarms"].delete_many({"told_at": {"$lt": before}}).deleted_count
        records.database["alarm_messages"].delete_many({"at": {"$lt": before}, "open": False})
    if (before := _before(settings.calls_days)) is not None:
        gone["calls"] = _delete_calls(records, before)
    if (before := _before(settings.experiments_days)) is not None:
        gone["experiments"] = sum(_delete(records, each) for each in _experiments(records, archive, before))
    return {kind: count for kind, count in gone.items() if count}


def _before(days: float | None) -> datetime | None:
    return None if days is None else now() - timedelta(days=days)


def _delete_events(records: Records, before: datetime) -> int:
    """All but those of paused devices, which tell who paused them."""
    paused = sorted(device["_id"] for device in records.devices.find({"paused": True}, {"_id": 1}))
    query = {"_id": {"$lt": ObjectId.from_datetime(before)}, "subject": {"$nin": paused}}
    return records.events.delete_many(query).deleted_count


def _delete_calls(records: Records, before: datetime) -> int:
    """Those of tasks that go on are kept, however old."""
    unfinished = records.tasks.distinct("_id", {"ended_at": None})
    return records.calls.delete_many({"at": {"$lt": before}, "task": {"$nin": unfinished}}).deleted_count


def _experiments(records: Records, archive: Archive, before: datetime) -> list[str]:
    """Those that may go: archived as they are now, and with no sample that still stands anywhere."""
    query = {"status": {"$ne": ExperimentStatus.RUNNING}, "completed_at": {"$lt": before}}
    archived = [each["_id"] for each in records.database["experiments"].find(query) if is_archived(each)]
    standing = {"experiment": {"$in": archived}, "position": {"$type": "string"}}
    kept = set(records.samples.distinct("experiment", standing))
    return [each for each in archived if each not in kept and archive.holds(each)]


def _delete(records: Records, experiment: str) -> int:
    """What it consists of first: what a crash leaves is found again with the experiment."""
    tasks = records.tasks.distinct("_id", {"experiment": experiment})
    of_tasks: dict[str, Any] = {"task": {"$in": tasks}}
    for name in ABOUT_TASKS:
        records.database[name].delete_many(of_tasks)
    ResultFiles(records.database).forget([experiment])
    records.samples.delete_many({"experiment": experiment})
    records.tasks.delete_many({"experiment": experiment})
    return records.experiments.delete_one({"_id": experiment}).deleted_count
