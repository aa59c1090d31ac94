"""The plan of a refresh: what going live would change, drain and leave waiting. Advice only; dispatch checks again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from hotswap.compare import compare
from hotswap.snapshot import Snapshot
from lab.catalog import Definitions
from lab.experiments.parameters import complaint
from lab.managers.refresh._holders import holder_of
from lab.managers.refresh._removals import places, removed_in_use
from lab.records import Document, Records, TaskStatus

_NOTHING: Final[Mapping[str, str]] = {}


def outline(before: Snapshot | None, after: Snapshot) -> Document:
    """What can be told of code that must not run, or does not: its files and its environment."""
    return {
        "files": compare(before, after).to_dict() if before else None,
        "tasks": _changes(_NOTHING, _NOTHING),
        "devices": _changes(_NOTHING, _NOTHING),
        "positions": _changes(_NOTHING, _NOTHING),
        "drain_set": [],
        "affected": [],
        "queued": [],
        "removed_in_use": [],
    }


def make_plan(
    records: Records,
    before: tuple[Snapshot, Definitions] | None,
    after: tuple[Snapshot, Definitions],
    queued: list[Document],
) -> Document:
    """What would change between the current snapshot, if there is one, and the next.

    ``affected`` are queued tasks of changed types; ``queued`` are those that the new code does not take.
    """
    snapshot, new = after
    old = before[1] if before else None
    tasks = _changes(old.code if old else _NOTHING, new.code)
    devices = _changes(old.drivers if old else _NOTHING, new.drivers)
    return {
        **outline(before[0] if before else None, snapshot),
        "tasks": tasks,
        "devices": devices,
        "positions": _changes(_places(old), _places(new)),
        "drain_set": [holder_of(records, name) for name in devices["changed"]],
        "affected": _affected(records, tasks["changed"]),
        "queued": queued,
        "removed_in_use": removed_in_use(records, old, new) if old else [],
    }


def unfit(records: Records, definitions: Definitions) -> list[Document]:
    """Queued tasks that the new code does not take, as ``{task, type, reason}``, as far as its schemas tell."""
    found = []
    for task in records.tasks.find(_queued()):
        known = definitions.tasks.get(task["type"])
        reason = "this task type is gone" if known is None else complaint(known["schema"], task["parameters"])
        if reason is not None:
            found.append({"task": task["_id"], "type": task["type"], "reason": reason})
    return found


def _affected(records: Records, changed: Collection[str]) -> list[Document]:
    fields = {"type": 1, "status": 1, "experiment": 1}
    found = records.tasks.find({**_queued(), "type": {"$in": list(changed)}}, fields, sort=[("_id", 1)])
    return [{"task": task["_id"], **{key: task[key] for key in ("type", "status", "experiment")}} for task in found]


def _queued() -> Document:
    return {"status": {"$in": [TaskStatus.WAITING, TaskStatus.READY]}, "pin": None, "parent": None}


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> Document:
    return {
        "added": sorted(set(after) - set(before)),
        "removed": sorted(set(before) - set(after)),
        "changed": sorted(name for name in set(before) & set(after) if before[name] != after[name]),
    }


def _places(definitions: Definitions | None) -> dict[str, str]:
    """A place has nothing but its name."""
    return dict.fromkeys(places(definitions), "") if definitions else {}
