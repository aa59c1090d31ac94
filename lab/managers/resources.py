"""Resources: pending requests are granted by priority and age, all of a request or nothing; releases wake the next."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from pymongo import UpdateOne

from lab.catalog import Catalog
from lab.managers.barrier_gate import OPEN, gate_of
from lab.managers.bus import Bus, Manager
from lab.managers.choice import Choice, Lack, Situation, choose
from lab.managers.grants import Granter, Links
from lab.records import ENDED, UNDECIDED, Records, Request, RequestStatus, Task

_OPEN: Final = (RequestStatus.PENDING, RequestStatus.FULFILLED, RequestStatus.NEED_RELEASE)
_RETRY_SECONDS: Final = 1.0
_BARRED: Final = "A barrier is under way: only tasks that ran before it are granted anything until it has ended."

log = logging.getLogger(__name__)


class ResourceManager(Manager):
    """``links`` reaches the driver processes.

    ``want`` is told which devices should have the driver of which snapshot, for the requests that come next; the most
    urgent first, and all that were told before are void.
    """

    def __init__(
        self,
        records: Records,
        catalog: Catalog,
        bus: Bus,
        links: Links,
        want: Callable[[Mapping[str, str]], object],
    ) -> None:
        super().__init__("resource manager")
        self._records = records
        self._catalog = catalog
        self._granter = Granter(records, links)
        self._want = want
        bus.subscribe("requests", self.wake, {"status"})
        bus.subscribe("devices", self.wake, {"state", "paused", "holder", "binding"})
        bus.subscribe("positions", self.wake, {"holder"})
        bus.subscribe("samples", self.wake, {"position"})
        bus.subscribe("tasks", self.wake, {"status": {*UNDECIDED, *ENDED}})
        bus.subscribe("barriers", self.wake, {"step", "outcome"})

    def reconcile(self) -> float | None:
        requests = list(self._records.requests.find({"status": {"$in": list(_OPEN)}}))
        swept = self._sweep(sorted(request["_id"] for request in requests))
        tasks = self._tasks_of(requests)
        released = [self._settle(request, tasks.get(request["task"])) for request in requests]
        pending = [request for request in requests if request["status"] == RequestStatus.PENDING]
        granted = self._grant_all(self._admitted(pending), tasks)
        return None if swept and all(released) and granted else _RETRY_SECONDS

    def _admitted(self, pending: list[Request]) -> list[Request]:
        """Those that no barrier bars; the others are told."""
        gate = gate_of(self._records.database) if pending else OPEN
        self._explain([(request, _BARRED) for request in pending if not gate.may_have(request["task"])])
        return [request for request in pending if gate.may_have(request["task"])]

    def _tasks_of(self, requests: list[Request]) -> dict[str, Task]:
        names = sorted({request["task"] for request in requests})
        if not names:
            return {}
        fields = {"status": 1, "attempt": 1, "samples": 1}
        return {task["_id"]: task for task in self._records.tasks.find({"_id": {"$in": names}}, fields)}

    def _settle(self, request: Request, task: Task | None) -> bool:
        """Release what is not needed any more, and withdraw what nobody waits for; False to try again later."""
        over = task is None or task["status"] in ENDED
        if request["status"] == RequestStatus.PENDING:
            lost = task is not None and (task["status"] in UNDECIDED or task["attempt"] != request["attempt"])
            if over or lost:
                self._move(request, RequestStatus.CANCELLED)
                return self._granter.release(request["_id"])
            return True
        if request["status"] == RequestStatus.FULFILLED and over:
            self._move(request, RequestStatus.NEED_RELEASE)
        if request["status"] == RequestStatus.NEED_RELEASE:
            if not self._granter.release(request["_id"]):
                return False
            self._move(request, RequestStatus.RELEASED)
        return True

    def _move(self, request: Request, status: RequestStatus, **fields: object) -> None:
        query = {"_id": request["_id"], "status": request["status"]}
        if self._records.requests.update_one(query, {"$set": {"status": status, **fields}}).modified_count:
            request["status"] = status

    def _grant_all(self, pending: list[Request], tasks: dict[str, Task]) -> bool:
        """Grant what can be granted, in order; False when a grant failed half-way and should be tried again."""
        complete = True
        kept: list[frozenset[str]] = []
        situation: Situation | None = None
        wanted: dict[str, str] = {}
        reasons: list[tuple[Request, str]] = []
        for request in sorted(pending, key=lambda each: (-each["priority"], each["created_at"], each["_id"])):
            situation = situation or self._situation()
            decision = self._decide(request, tasks[request["task"]], situation.keeping(kept, request["task"]))
            if isinstance(decision, Choice):
                complete &= self._granter.grant(request, decision, self._catalog.get(request["snapshot"]))
                situation = None
            elif decision.hopeless:
                self._move(request, RequestStatus.ERROR, error=decision.reason)
            else:
                kept += [decision.keep] if decision.keep else []
                reasons.append((request, decision.reason))
                for name in decision.rebind:
                    wanted.setdefault(name, request["snapshot"])
        self._want(wanted)
        self._explain(reasons)
        return complete

    def _decide(self, request: Request, task: Task, situation: Situation) -> Choice | Lack:
        try:
            definitions = self._catalog.get(request["snapshot"])
        except KeyError:
            return Lack(f"Code version {request['snapshot'][:12]} was never described.", hopeless=True)
        return choose(request, task["samples"], situation, definitions)

    def _situation(self) -> Situation:
        return Situation.of(
            list(self._records.devices.find({})),
            list(self._records.positions.find({})),
            list(self._records.samples.find({"position": {"$type": "string"}}, {"position": 1})),
        )

    def _explain(self, reasons: list[tuple[Request, str]]) -> None:
        """Tell each waiting request what it lacks, in one round trip and only where that changed."""
        changes: list[UpdateOne] = [
            UpdateOne({"_id": request["_id"], "status": RequestStatus.PENDING}, {"$set": {"waits_for": reason}})
            for request, reason in reasons
            if request["waits_for"] != reason
        ]
        if changes:
            self._records.requests.bulk_write(changes, ordered=False)

    def _sweep(self, open_requests: list[str]) -> bool:
        """Free what an ended request still holds, because a crash or an interruption cut its grant or release short.

        What is granted here is granted on this thread, so nothing is freed that is being granted. False to try again.
        """
        held: dict[str, Any] = {"request": {"$nin": [None, *open_requests]}}
        ended = {*self._records.devices.distinct("request", held), *self._records.positions.distinct("request", held)}
        for request_id in ended:
            log.info("Releasing what is still held for the ended request %s", request_id)
        released = [self._granter.release(request_id) for request_id in ended]
        return all(released)
