"""The plan of a refresh: what going live would change, drain and leave waiting. Advice only; dispatch checks again."""

from __future__ import annotations

from collections.abc import Mapping

from hotswap.compare import compare
from hotswap.snapshot import Snapshot
from lab.catalog import Definitions
from lab.managers.refresh._removals import removed_in_use
from lab.parameters import complaint
from lab.records import DeviceState, Document, Records, TaskStatus


def make_plan(
    records: Records, before: tuple[Snapshot, Definitions] | None, after: tuple[Snapshot, Definitions]
) -> Document:
    """What would change between the current snapshot, if there is one, and the next."""
    snapshot, definitions = after
    old = before[1] if before else None
    old_drivers = old.drivers if old else {}
    old_code = old.code if old else {}
    drain_set = sorted(name for name, digest in definitions.drivers.items() if old_drivers.get(name, digest) != digest)
    return {
        "files": compare(before[0], snapshot).to_dict() if before else None,
        "tasks": _changes(old_code, definitions.code),
        "devices": _changes(old_drivers, definitions.drivers),
        "drain_set": [_blocker(records, name) for name in drain_set],
        "queued": _unfit(records, definitions),
        "removed_in_use": removed_in_use(records, old, definitions) if old else [],
    }


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> Document:
    return {
        "added": sorted(set(after) - set(before)),
        "removed": sorted(set(before) - set(after)),
        "changed": sorted(name for name in set(before) & set(after) if before[name] != after[name]),
    }


def _blocker(records: Records, name: str) -> Document:
    """Who holds a device that has to be rebound; ``holder`` None means that it is rebound at once."""
    device: Document = dict(records.devices.find_one({"_id": name}) or {})
    holder = device.get("holder") if device.get("state") == DeviceState.GRANTED else None
    task = records.tasks.find_one({"_id": holder}) if holder else None
    return {
        "device": name,
        "holder": holder,
        "task": task["type"] if task else None,
        "since": task["started_at"] if task else None,
    }


def _unfit(records: Records, definitions: Definitions) -> list[Document]:
    """Queued tasks that the new code does not take, each with the reason."""
    queued = records.tasks.find({"status": {"$in": [TaskStatus.WAITING, TaskStatus.READY]}, "pin": None})
    found = []
    for task in queued:
        known = definitions.tasks.get(task["type"])
        reason = "this task type is gone" if known is None else complaint(known["schema"], task["parameters"])
        if reason is not None:
            found.append({"task": task["_id"], "type": task["type"], "reason": reason})
    return found
