"""Resources: pending requests are granted by priority and age, all of a request or nothing; releases wake the next."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Literal

from pymongo import UpdateMany

from lab.catalog import Catalog, Definitions
from lab.managers._readings import Readings
from lab.managers.barrier_gate import OPEN as OPEN_GATE
from lab.managers.barrier_gate import gate_of
from lab.managers.bus import Bus, Manager
from lab.managers.changes import REREAD_SECONDS
from lab.managers.choice import Choice, Lack
from lab.managers.deadlocks import Deadlock, DeadlockFinder
from lab.managers.grants import Granter, Links
from lab.managers.ledger import Ledger
from lab.managers.turns import Turns
from lab.records import CLAIMED, ENDED, UNDECIDED, Document, Records, Request, RequestStatus, TaskStatus

DeadlockPolicy = Literal["tell", "fail_youngest"]

_RETRY_SECONDS: Final = 1.0
_EXPLAIN_SECONDS: Final = 0.1
_AT_A_TIME: Final = 100
_BARRED: Final = "A barrier is under way: only tasks that ran before it are granted anything until it has ended."
_TASK_NEWS: Final = (TaskStatus.INITIATED, *UNDECIDED, TaskStatus.FINISHING, *ENDED)

log = logging.getLogger(__name__)


class ResourceManager(Manager):
    """``links`` reaches the driver processes.

    ``want`` is told which devices should have the driver of which snapshot, for the requests that come next; the most
    urgent first, and all that were told before are void. ``deadlock`` says what follows when tasks wait for each other:
    it is told, or the youngest of their requests fails, too.
    """

    def __init__(
        self,
        records: Records,
        catalog: Catalog,
        bus: Bus,
        links: Links,
        want: Callable[[Mapping[str, str]], object],
        deadlock: DeadlockPolicy = "tell",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("resource manager")
        self._records = records
        self._catalog = catalog
        self._granter = Granter(records, links)
        self._want = want
        self._policy = deadlock
        self._clock = clock
        self._gate = OPEN_GATE
        self._ledger = Ledger()
        self._turns = Turns(self._ledger, self._definitions, self._is_admitted)
        self._readings = Readings(records, self._ledger, self._turns)
        self._deadlocks = DeadlockFinder(self._ledger, self._definitions, self._movable)
        self._deadlocked: dict[tuple[str, ...], Deadlock] = {}
        self._words: dict[str, str] = {}
        self._unreleased: set[str] = set()
        self._ungranted: set[str] = set()
        self._retry_at = 0.0
        self._explained_at = 0.0
        for collection, fields in _INTERESTS.items():
            bus.subscribe(collection, self.wake, fields, self._changes)
        bus.subscribe("barriers", self.wake, {"step", "outcome"})

    def reconcile(self) -> float | None:
        again = self._take_up_again()
        self._settle(self._readings.read(self._changes.take()) | again)
        self._look_at_gate()
        self._grant_all()
        self._look_for_deadlocks()
        self._want(self._turns.wanted())
        self._explain_stale()
        if self._turns.stale:
            return _EXPLAIN_SECONDS
        return _RETRY_SECONDS if self._unreleased or self._ungranted else REREAD_SECONDS

    def _take_up_again(self) -> set[str]:
        """What could not be granted or released, not more often than every second; returns what is to be released."""
        if self._clock() < self._retry_at:
            return set()
        self._retry_at = self._clock() + _RETRY_SECONDS
        for name in self._ungranted & self._ledger.requests.keys():
            self._turns.look_at(self._ledger.requests[name])
        again, self._ungranted, self._unreleased = self._unreleased, set(), set()
        return again

    def _look_at_gate(self) -> None:
        gate = gate_of(self._records.database) if self._ledger.requests else OPEN_GATE
        if gate != self._gate:
            self._gate = gate
            self._turns.look_at_all()

    def _settle(self, names: Iterable[str]) -> None:
        """Release what is not needed any more, and withdraw what nobody waits for."""

        def settle(name: str) -> None:
            if not self._settle_one(name):
                self._unreleased.add(name)

        self._each(names, settle)

    def _settle_one(self, name: str) -> bool:
        """False to try again later."""
        request = self._ledger.requests.get(name)
        if request is None:
            return name not in self._ledger.held_for or self._sweep(name)
        task = self._ledger.tasks.get(request["task"])
        over = task is None or task["status"] in ENDED
        if request["status"] == RequestStatus.PENDING:
            if over or task is None or task["status"] in _LEFT or task["attempt"] != request["attempt"]:
                self._move(request, RequestStatus.CANCELLED)
                return self._release(name)
            return True
        if request["status"] == RequestStatus.FULFILLED and over:
            self._move(request, RequestStatus.NEED_RELEASE)
        if request["status"] == RequestStatus.NEED_RELEASE:
            if not self._release(name):
                return False
            self._move(request, RequestStatus.RELEASED)
        return True

    def _sweep(self, name: str) -> bool:
        """Free what an ended request still holds, because a crash or an interruption cut its grant or release short.

        What is granted here is granted on this thread, so nothing is freed that is being granted.
        """
        request = self._records.requests.find_one({"_id": name})
        if request is not None and request["status"] in (RequestStatus.PENDING, *_HOLDING):
            self._changes.note("requests", name)
            self.wake()
            return True
        log.info("Releasing what is still held for the ended request %s", name)
        return self._release(name)

    def _release(self, name: str) -> bool:
        held = set(self._ledger.held_for.get(name, ()))
        released = self._granter.release(name, held)
        self._readings.reread(held & self._ledger.devices.keys(), held & self._ledger.positions.keys())
        return released

    def _move(self, request: Request, status: RequestStatus, **fields: object) -> None:
        query = {"_id": request["_id"], "status": request["status"]}
        if self._records.requests.update_one(query, {"$set": {"status": status, **fields}}).modified_count:
            request["status"] = status
            self._readings.learn_request(request)

    def _grant_all(self) -> None:
        """Grant what can be granted, in order."""
        reasons: list[tuple[Request, str]] = []
        while (turn := self._turns.next()) is not None:
            request, decision = turn
            if isinstance(decision, Choice):
                if request["_id"] not in self._ungranted:
                    self._grant(request, decision)
            elif decision.hopeless:
                self._move(request, RequestStatus.ERROR, error=decision.reason)
            else:
                reasons.append((request, decision.reason or _BARRED))
        self._explain(reasons)

    def _grant(self, request: Request, choice: Choice) -> None:
        granted = self._granter.grant(request, choice, self._catalog.get(request["snapshot"]))
        self._readings.reread(choice.devices.values(), choice.places())
        if granted:
            request["status"] = RequestStatus.FULFILLED
            self._readings.learn_request(request)
        else:
            self._ungranted.add(request["_id"])

    def _is_admitted(self, task: str) -> bool:
        return self._gate.may_have(task)

    def _definitions(self, snapshot: str) -> Definitions | None:
        try:
            return self._catalog.get(snapshot)
        except KeyError:
            return None

    def _look_for_deadlocks(self) -> None:
        before = self._deadlocked
        self._deadlocked = found = {deadlock.key: deadlock for deadlock in self._deadlocks.find()}
        self._words = {name: words for each in found.values() for name, words in each.words.items()}
        for key in before.keys() - found.keys():
            self._mark(before[key].requests, None)
        for key in found.keys() - before.keys():
            self._tell_deadlock(found[key])

    def _tell_deadlock(self, deadlock: Deadlock) -> None:
        told = deadlock.words[deadlock.youngest["_id"]]
        self._records.log("deadlock.found", deadlock.tasks[0], tasks=list(deadlock.tasks), reason=told)
        log.warning("Tasks %s wait for each other. %s", ", ".join(deadlock.tasks), told)
        self._mark(deadlock.requests, deadlock.tasks)
        if self._policy == "fail_youngest":
            self._move(deadlock.youngest, RequestStatus.ERROR, error=f"{told} It was refused as the youngest of them.")

    def _mark(self, requests: Iterable[Request], tasks: Collection[str] | None) -> None:
        """Write down that these requests are in a deadlock, or are not any more."""
        names = [request["_id"] for request in requests]
        told = None if tasks is None else list(tasks)
        self._records.requests.update_many({"_id": {"$in": names}}, {"$set": {"deadlock": told}})
        pending = [self._ledger.requests[name] for name in names if name in self._ledger.requests]
        decisions = [(request, self._turns.decide(request)) for request in pending]
        self._explain([(request, decision.reason) for request, decision in decisions if isinstance(decision, Lack)])

    def _movable(self, samples: Collection[str]) -> set[str]:
        """Those that a task has to do with which is at work, or about to be, and does not ask for anything."""
        status = {"$in": [TaskStatus.READY, TaskStatus.INITIATED, *CLAIMED]}
        waiting = {request["task"] for request in self._ledger.requests.values()}
        query: Document = {"samples": {"$in": list(samples)}, "status": status, "parent": None}
        tasks = [task for task in self._records.tasks.find(query, {"samples": 1}) if task["_id"] not in waiting]
        return {sample for task in tasks for sample in task["samples"]}.intersection(samples)

    def _explain_stale(self) -> None:
        """Tell those behind in their lines, too, when there is time: some of them, for a short while, then again."""
        began = self._clock()
        if not self._turns.stale or began - self._explained_at < _EXPLAIN_SECONDS:
            return
        told: list[tuple[Request, str]] = []
        while self._turns.stale and len(told) < _AT_A_TIME and self._clock() - began < _EXPLAIN_SECONDS / 10:
            key = next(iter(self._turns.stale))
            reason, requests = self._turns.behind(key, _AT_A_TIME)
            told += [(request, reason) for request in requests]
            if len(requests) < _AT_A_TIME:
                self._turns.stale.pop(key, None)
        self._explain(told)
        self._explained_at = self._clock()

    def _explain(self, reasons: list[tuple[Request, str]]) -> None:
        """Tell each waiting request what it lacks, in one round trip and only where that changed."""
        alike: dict[str, list[str]] = {}
        for request, reason in reasons:
            told = self._words.get(request["_id"], reason)
            if request["status"] == RequestStatus.PENDING and request["waits_for"] != told:
                request["waits_for"] = told
                alike.setdefault(told, []).append(request["_id"])
        changes = [
            UpdateMany({"_id": {"$in": names}, "status": RequestStatus.PENDING}, {"$set": {"waits_for": reason}})
            for reason, names in alike.items()
        ]
        if changes:
            self._records.requests.bulk_write(changes, ordered=False)


_LEFT: Final = (*UNDECIDED, TaskStatus.FINISHING)
"""No code waits for what a task in one of these has asked for."""

_HOLDING: Final = (RequestStatus.FULFILLED, RequestStatus.NEED_RELEASE)
_INTERESTS: Final[dict[str, Collection[str] | Mapping[str, Collection[str]]]] = {
    "requests": {"status"},
    "devices": {"state", "paused", "holder", "binding", "failed_digest", "group"},
    "positions": {"holder", "request", "device"},
    "samples": {"position"},
    "tasks": {"status": set(_TASK_NEWS)},
}
