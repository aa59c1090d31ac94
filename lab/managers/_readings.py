"""Keeps ledger and turns in step with the database: reads what changed, or everything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from lab.finding import find_in
from lab.managers.changes import Changed
from lab.managers.ledger import OPEN, Ledger
from lab.managers.turns import Turns
from lab.records import Device, Position, Records, Request, RequestStatus

_TASK_FIELDS: Final = {"status": 1, "attempt": 1, "samples": 1}
_DEVICE_FIELDS: Final = {"hand_over": 0}
_SAMPLE_FIELDS: Final = {"position": 1}
_STANDING: Final[dict[str, Any]] = {"position": {"$type": "string"}}


class Readings:
    """``read`` and ``reread`` return the ids of requests to settle: those that changed, or whose task did."""

    def __init__(self, records: Records, ledger: Ledger, turns: Turns) -> None:
        self._records = records
        self._ledger = ledger
        self._turns = turns

    def read(self, changed: Changed) -> set[str]:
        """Take in what changed."""
        if changed.everything:
            return self._read_everything()
        requests = self._requests(changed.of("requests"))
        tasks = self._tasks(changed.of("tasks") & self._ledger.tasks.keys())
        self.reread(changed.of("devices"), changed.of("positions"))
        self._samples(changed.of("samples"))
        return requests | tasks

    def reread(self, devices: Iterable[str] = (), positions: Iterable[str] = ()) -> None:
        """Take in what was granted or given back here."""
        for name, device in _by_id(self._records.devices, devices, _DEVICE_FIELDS).items():
            self._learn_device(name, device)
        for name, position in _by_id(self._records.positions, positions).items():
            self._learn_position(name, position)

    def learn_request(self, request: Request) -> None:
        """Take in the state of one request; its task is known."""
        pending = request["status"] == RequestStatus.PENDING
        if request["status"] not in OPEN:
            self._forget(request["_id"])
            return
        known = self._ledger.requests.get(request["_id"])
        if known is not None and not pending:
            self._turns.leave(known)
        self._ledger.learn_request(request)
        if pending and known is None:
            self._turns.enter(request)

    def _read_everything(self) -> set[str]:
        open_requests = {"status": {"$in": list(OPEN)}}
        requests = {request["_id"]: request for request in self._records.requests.find(open_requests)}
        for name in self._ledger.requests.keys() - requests.keys():
            self._forget(name)
        self._tasks(frozenset(self._ledger.tasks))
        self._learn_requests(requests.values())
        devices = {device["_id"]: device for device in self._records.devices.find({}, _DEVICE_FIELDS)}
        for name in devices.keys() | self._ledger.devices.keys():
            self._learn_device(name, devices.get(name))
        positions = {position["_id"]: position for position in self._records.positions.find({})}
        for name in positions.keys() | self._ledger.positions.keys():
            self._learn_position(name, positions.get(name))
        standing = {each["_id"]: each["position"] for each in self._records.samples.find(_STANDING, _SAMPLE_FIELDS)}
        for name in [*(self._ledger.standing() - standing.keys()), *standing]:
            self._learn_sample(name, standing.get(name))
        self._turns.look_at_all()
        return {*requests, *self._ledger.held_for}

    def _requests(self, names: frozenset[str]) -> set[str]:
        found = _by_id(self._records.requests, names)
        for name, request in found.items():
            if request is None or request["status"] not in OPEN:
                self._forget(name)
        return {*found, *self._learn_requests(request for request in found.values() if request is not None)}

    def _learn_requests(self, requests: Iterable[Request]) -> set[str]:
        """Their tasks first: without them nothing can be decided. Returns other requests of tasks that changed."""
        opened = [request for request in requests if request["status"] in OPEN]
        opened.sort(key=lambda request: (request["created_at"], request["_id"]))
        others = self._tasks(frozenset(each["task"] for each in opened if each["_id"] not in self._ledger.requests))
        for request in opened:
            self.learn_request(request)
        return others

    def _forget(self, name: str) -> None:
        known = self._ledger.requests.get(name)
        if known is not None:
            self._turns.leave(known)
            self._ledger.forget_request(name)

    def _tasks(self, names: frozenset[str]) -> set[str]:
        """Read these tasks; returns the requests of those that are not as they were."""
        requests: set[str] = set()
        for name, task in _by_id(self._records.tasks, names, _TASK_FIELDS).items():
            if task is None:
                self._ledger.forget_task(name)
            elif not self._ledger.learn_task(task):
                continue
            requests |= self._ledger.asked_by.get(name, set())
            for held in self._ledger.holdings.get(name, ()):
                self._turns.changed(held)
            self._turns.renewed(name)
        return requests

    def _samples(self, names: frozenset[str]) -> None:
        for name, sample in _by_id(self._records.samples, names, _SAMPLE_FIELDS).items():
            self._learn_sample(name, None if sample is None else sample["position"])

    def _learn_device(self, name: str, device: Device | None) -> None:
        before = self._ledger.holder(name)
        self._tell(name, self._ledger.learn_device(name, device), before)

    def _learn_position(self, name: str, position: Position | None) -> None:
        before = self._ledger.holder(name)
        self._tell(name, self._ledger.learn_position(name, position), before)

    def _tell(self, name: str, is_new: bool, holder: str | None) -> None:
        if not is_new:
            return
        self._turns.changed(name)
        after = self._ledger.holder(name)
        if holder != after:
            for task in {holder, after} - {None}:
                self._turns.renewed(task or "")

    def _learn_sample(self, sample: str, position: str | None) -> None:
        for place in self._ledger.learn_sample(sample, position):
            self._turns.changed(place)
        for task in self._ledger.handled_by.get(sample, set()).copy():
            self._turns.renewed(task)


def _by_id(collection: Any, names: Iterable[str], fields: Any = None) -> dict[str, Any]:
    """The documents by their ids, None for one that is not there."""
    found: dict[str, Any] = dict.fromkeys(sorted(names))
    found.update({document["_id"]: document for document in find_in(collection, "_id", found, fields)})
    return found
