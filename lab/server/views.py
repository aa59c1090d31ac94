"""The facts people ask for, read from the documents."""

from __future__ import annotations

import base64
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from bson import ObjectId
from bson.errors import InvalidId
from pymongo import DESCENDING

from hotswap.generations import SnapshotRecord, SnapshotState
from lab.managers.barrier_gate import active, barriers_of
from lab.managers.environment import told
from lab.managers.isolation import usage
from lab.managers.leases import unreachable
from lab.prompts import Prompt, Prompts
from lab.records import NEEDING, DeviceState, Document, Records, RequestStatus, Task, TaskStatus
from lab.refusals import NotFoundError
from lab.server.backend import Backend
from lab.settings.simulation import Simulation
from lab.task_logs import TaskLogs

_LIMIT: Final = 1000
_GOING: Final = {SnapshotState.DRAINING, SnapshotState.CLOSING, SnapshotState.STRANDED}
_TIMES: Final = ("started_at", "ended_at")
_BRIEF: Final = (
    "type",
    "status",
    "message",
    "reason",
    "experiment",
    "priority",
    "pin",
    "attempt",
    "label",
    "note",
    "progress",
)


def status(backend: Backend, lab: str, simulation: Simulation, *, auto_refresh: bool) -> Document:
    """The laboratory at a glance; ``versions`` tells which unfinished tasks use which code version."""
    current = backend.generations.current()
    known = devices(backend.records)
    return {
        "lab": lab,
        "simulation": simulation.everything,
        "simulate": list(simulation.patterns),
        "simulate_unmatched": simulation.unmatched(
            [device["_id"] for device in known if device["state"] != DeviceState.RETIRED]
        ),
        "generation": current.number if current else None,
        "snapshot": current.snapshot if current else None,
        "commit": current.commit if current else None,
        "dirty": current.dirty if current else None,
        "auto_refresh": auto_refresh,
        "refresh": _last_refresh(backend.records),
        "barrier": active(backend.records.database),
        "environment": told(backend.environment()),
        "stranded": stranded(backend),
        "alarms": backend.alarms.health() if backend.alarms else None,
        "deadlocks": deadlocks(backend.records),
        "tasks": _counts(backend.records),
        "prompts": len(backend.prompts.pending()),
        "versions": unfinished(backend.records, current.number if current else None),
        "devices": known,
        "workers": list(backend.records.workers.find({}, {"identity.boot_id": 0})),
        "processes": backend.processes(),
    }


def stranded(backend: Backend) -> list[Document]:
    """The code versions with work that cannot go on: which tasks, and what is installed otherwise."""
    return [
        {
            "snapshot": record.snapshot,
            "since": record.since,
            "environment": record.facts.get("environment", []),
            "tasks": needed_by(backend.records, record.snapshot)["tasks"],
        }
        for record in backend.generations.states.all(SnapshotState.STRANDED)
    ]


def deadlocks(records: Records) -> list[Document]:
    """The tasks that wait for each other, and what each of their requests waits for."""
    found: dict[tuple[str, ...], Document] = {}
    for request in records.requests.find({"status": RequestStatus.PENDING, "deadlock": {"$type": "array"}}):
        tasks = request.get("deadlock") or []
        deadlock = found.setdefault(tuple(tasks), {"tasks": tasks, "requests": []})
        told = {"id": request["_id"], "task": request["task"], "waits_for": request["waits_for"]}
        deadlock["requests"].append(told)
    return list(found.values())


def needed_by(records: Records, snapshot: str) -> Document:
    """What keeps a snapshot from being drained: unfinished tasks, and devices that have, or are given, its driver."""
    tasks = {"pin.snapshot": snapshot, "status": {"$in": list(NEEDING)}, "parent": None}
    devices = {"$or": [{"binding.snapshot": snapshot}, {"rebind_to": snapshot}]}
    return {
        "tasks": list(records.tasks.find(tasks, {"type": 1, "status": 1}, sort=[("_id", 1)])),
        "devices": [device["_id"] for device in records.devices.find(devices, {"_id": 1}, sort=[("_id", 1)])],
    }


def _last_refresh(records: Records) -> Document | None:
    """How the newest refresh went."""
    fields = {"outcome": 1, "error": 1, "path": 1, "line": 1, "commit": 1, "requested_at": 1}
    # A revision that somebody mistyped says nothing about the code.
    about_code = {"$or": [{"rev": None}, {"snapshot": {"$exists": True}}, {"trigger": {"$in": ["commit", "save"]}}]}
    return records.refreshes.find_one(about_code, fields, sort=[("_id", -1)])


def _counts(records: Records) -> dict[str, int]:
    stages: list[Document] = [{"$match": {"parent": None}}, {"$group": {"_id": "$status", "count": {"$sum": 1}}}]
    return {each["_id"]: each["count"] for each in records.database["tasks"].aggregate(stages)}


def unfinished(records: Records, current: int | None) -> list[Document]:
    """The generations that unfinished tasks are pinned to, the newest first, each with its tasks."""
    needed = {"status": {"$in": list(NEEDING)}, "pin": {"$ne": None}, "parent": None}
    versions: dict[int, Document] = {}
    for task in records.tasks.find(needed, {"pin": 1, "type": 1, "status": 1, "started_at": 1}):
        pin = task["pin"]
        assert pin is not None
        number = pin["generation"]
        version = versions.setdefault(
            number,
            {
                "generation": number,
                "snapshot": pin["snapshot"],
                "commit": pin["commit"],
                "current": number == current,
                "tasks": [],
            },
        )
        version["tasks"].append(
            {"id": task["_id"], "type": task["type"], "status": task["status"], "started_at": task["started_at"]}
        )
    return [versions[number] for number in sorted(versions, reverse=True)]


def experiments(records: Records) -> list[Document]:
    """The newest first."""
    found = records.database["experiments"].find(sort=[("submitted_at", DESCENDING)]).limit(_LIMIT)
    return list(found)


def experiment(records: Records, experiment_id: str) -> Document:
    """One experiment with its tasks and samples in place of their ids, and its ``progress`` from 0 to 1.

    Raises NotFoundError.
    """
    document = records.experiments.find_one({"_id": experiment_id})
    if document is None:
        raise NotFoundError(f"There is no experiment {experiment_id!r}; `lab experiments` lists them.")
    tasks = {each["_id"]: each for each in records.tasks.find({"experiment": experiment_id})}
    samples = list(records.samples.find({"experiment": experiment_id}))
    ordered = _with_waits(records, [tasks[name] for name in document["tasks"] if name in tasks])
    ended = sum(each["status"] == TaskStatus.COMPLETED for each in ordered)
    return {**document, "tasks": ordered, "samples": samples, "progress": ended / len(ordered) if ordered else 0.0}


def tasks(records: Records, query: Mapping[str, str]) -> list[Document]:
    """Tasks in brief, the newest first; ``query`` may name a status and an experiment."""
    selection = {"parent": None, **{key: query[key] for key in ("status", "experiment") if key in query}}
    fields = dict.fromkeys((*_BRIEF, *_TIMES, "created_at", "error", "samples", "claim"), 1)
    found = records.database["tasks"].find(selection, fields, sort=[("created_at", DESCENDING)])
    return _with_waits(records, list(found.limit(_LIMIT)))


def _with_waits(records: Records, tasks: Sequence[Mapping[str, Any]]) -> list[Document]:
    """The tasks, each with the prompts for whose answers it waits, what else it waits for and who has that, and since
    when its worker gives no sign of life.
    """
    asked = defaultdict(list)
    for prompt in Prompts(records).pending():
        asked[prompt["task"]].append({key: prompt[key] for key in ("_id", "text", "options")})
    names = [task["_id"] for task in tasks if task["status"] == TaskStatus.REQUESTING_RESOURCES]
    pending = {"task": {"$in": names}, "status": RequestStatus.PENDING}
    waits = {each["task"]: each["waits_for"] for each in records.requests.find(pending)} if names else {}
    silent = unreachable(records)
    return [
        {
            **task,
            "prompts": asked[task["_id"]],
            "waits_for": waits.get(task["_id"]),
            "unreachable_since": silent.get(task["claim"]["worker"]) if task["claim"] else None,
        }
        for task in tasks
    ]


def task(records: Records, task_id: str) -> Document:
    """Everything about one task, its subtasks and requests included. Raises NotFoundError."""
    found: Task | None = records.tasks.find_one({"_id": task_id})
    if found is None:
        raise NotFoundError(f"There is no task {task_id!r}; `lab tasks` lists them.")
    return {
        **_with_waits(records, [found])[0],
        "process": usage(records, found),
        "subtasks": list(records.tasks.find({"parent": task_id}, dict.fromkeys((*_BRIEF, *_TIMES), 1))),
        "requests": list(records.requests.find({"task": task_id})),
        "logs": TaskLogs(records).of(task_id),
    }


def devices(records: Records) -> list[Document]:
    return sorted(records.database["devices"].find({}, {"hand_over.state": 0}), key=lambda device: str(device["_id"]))


def positions(records: Records) -> list[Document]:
    """Each place with the sample that stands in it, if any."""
    standing = records.samples.find({"position": {"$type": "string"}})
    occupants = {sample["position"]: {"id": sample["_id"], "name": sample["name"]} for sample in standing}
    found = records.database["positions"].find()
    return [{**position, "sample": occupants.get(position["_id"])} for position in found]


def prompts(prompts: Prompts, status: str | None) -> list[Prompt]:
    """Those that wait for an answer first; ``status`` for only those in it."""
    return prompts.listed(status, _LIMIT)


def versions(backend: Backend) -> list[Document]:
    """All generations, the newest first: the state of their snapshots, how many tasks still need them, and, beside the
    newest generation of each snapshot, its version processes and what it is needed by.
    """
    current = backend.generations.current()
    needed = {each["generation"]: len(each["tasks"]) for each in unfinished(backend.records, None)}
    records = {record.snapshot: record for record in backend.generations.states.all()}
    seen: set[str] = set()
    processes = _by_snapshot(backend.processes())
    return [
        {
            **generation.to_dict(),
            **_life(backend.records, records.get(generation.snapshot), first=_is_new(generation.snapshot, seen)),
            "current": current is not None and generation.number == current.number,
            "unfinished_tasks": needed.get(generation.number, 0),
            "processes": processes.pop(generation.snapshot, []),
        }
        for generation in backend.generations.history()
    ]


def _life(records: Records, record: SnapshotRecord | None, *, first: bool) -> Document:
    """The state of a snapshot, and why it is not drained yet."""
    if record is None:
        return {"state": "", "needed_by": None, "stranded_by": []}
    waits = first and record.state in _GOING
    return {
        "state": str(record.state),
        "needed_by": needed_by(records, record.snapshot) if waits else None,
        "stranded_by": record.facts.get("environment", []) if record.state is SnapshotState.STRANDED else [],
    }


def _is_new(snapshot: str, seen: set[str]) -> bool:
    new = snapshot not in seen
    seen.add(snapshot)
    return new


def _by_snapshot(processes: list[Document]) -> dict[str, list[Document]]:
    found: dict[str, list[Document]] = {}
    for process in processes:
        if process.get("snapshot"):
            found.setdefault(process["snapshot"], []).append(process)
    return found


def refreshes(records: Records) -> list[Document]:
    """The newest first."""
    found = list(records.refreshes.find(sort=[("_id", DESCENDING)]).limit(_LIMIT))
    barriers = {each["_id"]: each for each in barriers_of(records.database).find()}
    return [{**each, "barrier": barriers.get(each["_id"])} for each in found]


def refresh(records: Records, refresh_id: str) -> Document:
    """One refresh, with its barrier if it has one. Raises NotFoundError."""
    found = records.refreshes.find_one({"_id": refresh_id})
    if found is None:
        raise NotFoundError(f"There is no refresh {refresh_id!r}; `GET /api/refreshes` lists them.")
    return {**found, "barrier": barriers_of(records.database).find_one({"_id": refresh_id})}


def events(records: Records, after: str | None) -> list[Document]:
    """The lab's log in order of time; after the event with id ``after``, else the newest thousand."""
    collection = records.database["events"]
    if after is None:
        return list(collection.find(sort=[("_id", DESCENDING)]).limit(_LIMIT))[::-1]
    try:
        return list(collection.find({"_id": {"$gt": ObjectId(after)}}, sort=[("_id", 1)]).limit(_LIMIT))
    except InvalidId:
        raise NotFoundError(f"There is no event {after!r}; give the id of one that was listed.") from None


def plain(value: Any) -> Any:
    """The value as JSON can carry it: times in ISO 8601, ids as text, ``_id`` as ``id``, NaN and infinity as text,
    bytes in base64.
    """
    if isinstance(value, Mapping):
        return {"id" if key == "_id" else str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else str(value)
