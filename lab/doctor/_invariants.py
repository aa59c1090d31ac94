"""What must hold among the documents of a laboratory, whatever was killed when."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from pymongo import DESCENDING

from hotswap.generations import Generations
from hotswap.process import Identity
from hotswap.store import Store
from lab.doctor._report import Finding, Report
from lab.records import CLAIMED, ENDED, NEEDING, DeviceState, Records, RequestStatus, TaskStatus

_SECOND_LOOK: Final = 1.0
_RELEASE = "launch the lab: it gives that back; if it stays, tell who maintains hotswap-lab"
_HELD: Final = (DeviceState.GRANTED, DeviceState.REBINDING)

Found = Iterator[Finding]


def check_invariants(report: Report, records: Records, store: Store) -> None:
    """What a running laboratory is in the middle of is no contradiction: only what is there twice counts."""
    found = _all(records, store)
    if found:
        time.sleep(_SECOND_LOOK)
        still = {finding.what for finding in _all(records, store)}
        found = [finding for finding in found if finding.what in still]
    report.findings.extend(found)
    if not found:
        report.tell("documents", "tasks, samples, positions, devices and requests agree with each other")


def _all(records: Records, store: Store) -> list[Finding]:
    checks: list[Callable[[Records], Found]] = [
        _samples,
        _positions,
        _devices,
        _pauses,
        _requests,
        _claims,
        _experiments,
    ]
    found = [finding for check in checks for finding in check(records)]
    return [*found, *_code(records, store)]


def _finding(what: str, mend: str) -> Finding:
    return Finding("documents", what, mend)


def _samples(records: Records) -> Found:
    places = {each["_id"] for each in records.positions.find({}, {"_id": 1})}
    standing: defaultdict[str, list[str]] = defaultdict(list)
    for sample in records.samples.find({}, {"position": 1, "history": {"$slice": -1}, "name": 1}):
        name, position = f"{sample['name']} ({sample['_id']})", sample["position"]
        last = sample["history"][-1]["position"] if sample["history"] else position
        if last != position:
            yield _finding(
                f"sample {name} is in {position}, but was last moved to {last}", "look where it is, and move it"
            )
        if position is not None:
            standing[position].append(name)
            if position not in places:
                yield _finding(f"sample {name} is in {position}, which does not exist", "look where it is, and move it")
    for position, names in standing.items():
        if len(names) > 1:
            yield _finding(f"{position} has {len(names)} samples in it: {', '.join(names)}", "look which one is there")


def _positions(records: Records) -> Found:
    held = {each["_id"]: each["holder"] for each in records.positions.find({"holder": {"$ne": None}}, {"holder": 1})}
    status = _status_of(records, held.values())
    for position, holder in held.items():
        if status.get(holder) in (None, *ENDED):
            yield _finding(f"{position} is held by task {holder}, which {_ended(status.get(holder))}", _RELEASE)


def _devices(records: Records) -> Found:
    devices = list(records.devices.find())
    status = _status_of(records, [device["holder"] for device in devices])
    for device in devices:
        name, holder, state = device["_id"], device["holder"], device["state"]
        if holder is not None and status.get(holder) in (None, *ENDED):
            yield _finding(f"{name} is granted to task {holder}, which {_ended(status.get(holder))}", _RELEASE)
        if holder is not None and state not in _HELD:
            yield _finding(f"{name} is {state}, but held by task {holder}", _RELEASE)
        if state == DeviceState.GRANTED and holder is None:
            yield _finding(f"{name} is granted, but to nobody", _RELEASE)


def _pauses(records: Records) -> Found:
    """Somebody has to have asked for each pause; a refresh pauses nothing that outlives it."""
    for device in records.devices.find({"paused": True}, {"_id": 1}):
        name = device["_id"]
        told = {"$in": ["device.paused", "device.emergency_stop", "device.released"]}
        last = records.events.find_one({"subject": name, "kind": told}, {"kind": 1}, sort=[("_id", DESCENDING)])
        if last is None or last["kind"] == "device.released":
            yield _finding(f"{name} is paused, and nothing says by whom", f"look at it, then `lab release {name}`")


def _requests(records: Records) -> Found:
    open_ones = {"status": {"$in": [RequestStatus.PENDING, RequestStatus.FULFILLED, RequestStatus.NEED_RELEASE]}}
    requests = {each["_id"]: each["task"] for each in records.requests.find(open_ones, {"task": 1})}
    status = _status_of(records, requests.values())
    for request, task in requests.items():
        if status.get(task) in (None, *ENDED):
            yield _finding(f"request {request} is open, but its task {task} {_ended(status.get(task))}", _RELEASE)


def _claims(records: Records) -> Found:
    workers = {worker["_id"]: worker["identity"] for worker in records.workers.find({}, {"identity": 1})}
    alive = {name for name, identity in workers.items() if Identity.from_dict(identity).alive()}
    query = {"status": {"$in": list(CLAIMED)}, "parent": None}
    for task in records.tasks.find(query, {"claim": 1, "status": 1, "type": 1}):
        worker = task["claim"]["worker"] if task["claim"] else None
        if worker not in alive:
            what = f"task {task['_id']} ({task['type']}) is {task['status']}, but its worker {worker} is dead"
            yield _finding(
                what, "launch the lab: the task is LOST then, and you decide with `lab retry` or `lab cancel`"
            )


def _experiments(records: Records) -> Found:
    known = {each["_id"] for each in records.experiments.find({}, {"_id": 1})}
    for experiment in sorted(set(records.tasks.distinct("experiment", {"status": {"$nin": list(ENDED)}})) - known):
        yield _finding(f"unfinished tasks belong to experiment {experiment}, which does not exist", "`lab cancel` them")


def _code(records: Records, store: Store) -> Found:
    kept = {snapshot.id for snapshot in store.list()} if store.root.exists() else set()
    for task in records.tasks.find({"status": {"$in": list(NEEDING)}, "pin": {"$ne": None}}, {"pin": 1, "type": 1}):
        pin = task["pin"]
        if pin is not None and pin["snapshot"] not in kept:
            what = (
                f"task {task['_id']} ({task['type']}) is pinned to code version {pin['snapshot'][:12]}, which is gone"
            )
            yield _finding(what, "bring it back with `hotswap import`, or `lab cancel` the task")
    for device in records.devices.find({"binding": {"$ne": None}}, {"binding": 1}):
        binding = device["binding"]
        if binding is not None and binding["snapshot"] not in kept:
            what = f"{device['_id']} is bound to code version {binding['snapshot'][:12]}, which is gone"
            yield _finding(what, "bring it back with `hotswap import`, or `lab refresh`")
    current = Generations(records.database).current()
    if current is not None and current.snapshot not in kept:
        yield _finding(
            f"generation {current.number} is current, but its code version {current.snapshot[:12]} is gone",
            "bring it back with `hotswap import`",
        )


def _status_of(records: Records, tasks: Iterable[str | None]) -> dict[str | None, TaskStatus]:
    found = records.tasks.find({"_id": {"$in": sorted({task for task in tasks if task})}}, {"status": 1})
    return {task["_id"]: TaskStatus(task["status"]) for task in found}


def _ended(status: TaskStatus | None) -> str:
    return "does not exist" if status is None else f"has ended: {status}"
