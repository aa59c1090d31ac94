"""What may happen to the requests of a laboratory, on a real database, and what has to hold all the time.

The resource manager runs when the machine says so, on the events of the real change stream; workers, drivers and the
device manager are played. The death of the managers is a new manager that knows only what the database holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pymongo import MongoClient
from pymongo.errors import AutoReconnect
from resource_world import DEFINITIONS, DEVICES, FURNACE, NEW, PLACES, want

from lab.catalog import Catalog, Definitions
from lab.managers.bus import Bus
from lab.managers.choice import Choice, choose
from lab.managers.ledger import OPEN
from lab.managers.resources import DeadlockPolicy, ResourceManager
from lab.records import Document, Records, Request, Want, new_id, now

WANTS: list[list[Want]] = [
    [want("arm")],
    [want("balance")],
    [want(FURNACE, slot=1)],
    [want("furnace_1", slot=2)],
    [want(FURNACE, slot=1), want("arm")],
    [want("arm"), want("balance")],
    [want(FURNACE, "a"), want(FURNACE, "b")],
    [want(None, table=2), want("arm")],
    [want(None, table=3)],
]
ADDRESS = ("127.0.0.1", 1)
numbers = st.integers(0, 1000)


class Drivers:
    """Keeps the rules of grants, and breaks off when it is told to."""

    def __init__(self) -> None:
        self.granted: dict[str, tuple[int, str]] = {}
        self.fences: defaultdict[str, int] = defaultdict(int)
        self.refuse = self.hang = False
        self.crash_in: int | None = None

    def call(self, _address: object, op: str, *, device: str, fence: int, task: str = "") -> None:
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                self.crash_in = None
                raise AutoReconnect("the managers die here")
        if op == "grant":
            self._grant(device, fence, task)
        elif self.hang:
            raise TimeoutError(f"{device} does not answer")
        elif device in self.granted and self.granted[device][0] <= fence:
            del self.granted[device]

    def _grant(self, device: str, fence: int, task: str) -> None:
        if self.refuse:
            raise OSError(f"{device} refuses")
        holder = self.granted.get(device)
        assert holder is None or holder[1] == task, f"{device} is granted to {task} while {holder} has it"
        assert fence > self.fences[device], f"{device} is granted with an old fence"
        self.fences[device] = fence
        self.granted[device] = (fence, task)


class WatchedManager(ResourceManager):
    """Tells of each grant before it is made."""

    def watch(self, before: Callable[[Request, Choice], None]) -> None:
        self._before = before

    def _grant(self, request: Request, choice: Choice) -> None:
        self._before(request, choice)
        super()._grant(request, choice)


class ResourceMachine(RuleBasedStateMachine):
    """The test says in a subclass what to ``connect`` with."""

    policy: DeadlockPolicy = "tell"

    @staticmethod
    def connect() -> MongoClient[Document]:
        raise NotImplementedError

    @initialize()
    def furnish(self) -> None:
        self.client = self.connect()
        self.records = Records(self.client[f"machine_{new_id()}"])
        self.records.create_indexes()
        Catalog(self.records).put(_definitions())
        self.records.database["devices"].insert_many(_device(name) for name in DEVICES)
        places = [
            {"_id": name, "device": device, "prefix": prefix, "holder": None, "request": None}
            for device, prefix, name in PLACES
        ]
        self.records.database["positions"].insert_many(places)
        self.drivers = Drivers()
        self.wanted: Mapping[str, str] = {}
        self.time = 0.0
        self.asked: list[str] = []
        self.stream = self.records.database.watch(max_await_time_ms=1000)
        self.begin()

    def teardown(self) -> None:
        if hasattr(self, "stream"):
            self.come_to_an_end()
            self.stream.close()
            self.client.drop_database(self.records.database.name)

    # -- what happens ------------------------------------------------------------------------------------------------

    @rule(number=numbers, urgent=st.booleans())
    def ask(self, number: int, urgent: bool) -> None:
        task = new_id()
        fields = {"_id": task, "status": "RUNNING", "attempt": 1, "samples": [], "parent": None}
        self.records.database["tasks"].insert_one(fields)
        self.request(task, 1, number, 30 if urgent else 20)

    @rule(number=numbers, which=numbers)
    def ask_for_more(self, number: int, which: int) -> None:
        if held := self.valid():
            outer = held[which % len(held)]
            if self.task(outer["task"])["status"] == "RUNNING":
                self.request(outer["task"], outer["attempt"], number, 20)

    @rule(which=numbers)
    def give_back(self, which: int) -> None:
        """A task gives back what it asked for last, and not while it waits for more."""
        waiting = {request["task"] for request in self.requests("PENDING")}
        last = {request["task"]: request for request in self.valid()}
        self.alter([request for task, request in last.items() if task not in waiting], which, "NEED_RELEASE")

    @rule(which=numbers)
    def withdraw(self, which: int) -> None:
        self.alter(self.requests("PENDING"), which, "CANCELLED")

    @rule(which=numbers)
    def end_a_task(self, which: int) -> None:
        self.change_task(which, {"RUNNING", "LOST"}, "ERROR")

    @rule(which=numbers)
    def lose_a_worker(self, which: int) -> None:
        task = self.change_task(which, {"RUNNING"}, "LOST")
        mine = {"task": task, "status": "PENDING"}
        self.records.requests.update_many(mine, {"$set": {"status": "CANCELLED"}})
        self.settle()

    @rule(which=numbers, number=numbers)
    def retry_a_lost_task(self, which: int, number: int) -> None:
        found = sorted(task["_id"] for task in self.records.tasks.find({"status": "LOST"}))
        if found:
            task = found[which % len(found)]
            self.records.tasks.update_one({"_id": task}, {"$set": {"status": "RUNNING"}, "$inc": {"attempt": 1}})
            self.request(task, self.task(task)["attempt"], number, 20)

    @rule(which=numbers)
    def pause_or_release_a_device(self, which: int) -> None:
        device = self.device(DEVICES[which % len(DEVICES)])
        self.change_device(device["_id"], paused=not device["paused"])

    @rule(which=numbers)
    def break_or_mend_a_device(self, which: int) -> None:
        device = self.device(DEVICES[which % len(DEVICES)])
        if device["holder"] is None:
            self.change_device(device["_id"], state="error" if device["state"] == "free" else "free")

    @rule(which=numbers)
    def give_a_device_another_driver(self, which: int) -> None:
        device = self.device(("arm", "furnace_1")[which % 2])
        if device["state"] == "free":
            self.change_device(device["_id"], **{"binding.digest": "old"})

    @rule()
    def give_the_wanted_drivers(self) -> None:
        for name in self.wanted:
            if self.device(name)["state"] == "free":
                self.change_device(name, **{"binding.digest": _definitions().drivers[name]})

    @rule(refuse=st.booleans(), hang=st.booleans())
    def drivers_are_in_trouble_or_not(self, refuse: bool, hang: bool) -> None:
        self.drivers.refuse, self.drivers.hang = refuse, hang
        self.settle()

    @rule(after=st.integers(0, 2), number=numbers)
    def the_managers_die_at_work(self, after: int, number: int) -> None:
        self.drivers.crash_in = after
        self.ask(number, urgent=True)
        self.drivers.crash_in = None

    @rule()
    def the_managers_are_started_again(self) -> None:
        self.begin()

    # -- what has to hold --------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_granted_twice(self) -> None:
        if not hasattr(self, "manager"):
            return
        owner: dict[str, str] = {}
        for request in self.valid():
            grant = request["grant"]
            assert grant is not None
            places = [name for each in grant["positions"].values() for names in each.values() for name in names]
            for name in [*(each["device"] for each in grant["devices"]), *places]:
                assert owner.setdefault(name, request["task"]) == request["task"], f"{name} is granted twice"
                assert self.holding(name)["holder"] == request["task"], f"{name} was lost by request {request['_id']}"
            for each in grant["devices"]:
                assert self.drivers.granted[each["device"]][1] == request["task"]

    @invariant()
    def nothing_is_held_for_nobody(self) -> None:
        if not hasattr(self, "manager"):
            return
        known = {request["_id"]: request for request in self.records.requests.find({})}
        for name in [*DEVICES, *(place for _, _, place in PLACES)]:
            held = self.holding(name)
            assert (held["holder"] is None) == (held["request"] is None)
            if held["request"] is not None and not self.drivers.hang:
                assert known[held["request"]]["status"] in OPEN, f"{name} is held for a request that is over"
            if name in DEVICES and held["holder"] is None:
                assert held["state"] != "granted"

    @invariant()
    def the_first_has_what_it_can_have(self) -> None:
        if not hasattr(self, "manager") or self.drivers.refuse or self.drivers.hang:
            return
        if pending := sorted(self.requests("PENDING"), key=self.rank):
            assert not isinstance(self.decide(pending[0]), Choice), f"{pending[0]['_id']} could be granted"

    def nobody_is_passed_over(self, request: Request, choice: Choice) -> None:
        """Before a grant: nothing of it is kept for one that comes first, unless the task has something already."""
        if self.manager._ledger.is_plain(request["task"]):
            taken = {*choice.devices.values(), *choice.places()}
            for name, kept in self.manager._turns.kept().items():
                first = self.manager._ledger.requests[name]
                if self.rank(first) < self.rank(request):
                    assert taken.isdisjoint(kept), f"{request['_id']} takes what is kept for {name}"

    def come_to_an_end(self) -> None:
        """Everything is in order again, and whoever waits for nothing ends: all are served, or in a deadlock."""
        self.drivers.refuse = self.drivers.hang = False
        self.records.tasks.update_many({"status": "LOST"}, {"$set": {"status": "CANCELLED"}})
        for name in DEVICES:
            device = self.device(name)
            state = "free" if device["state"] == "error" else device["state"]
            self.records.devices.update_one({"_id": name}, {"$set": {"paused": False, "state": state}})
        for _ in range(200):
            self.settle()
            self.give_the_wanted_drivers()
            waiting = {request["task"] for request in self.requests("PENDING")}
            idle = sorted({request["task"] for request in self.requests("FULFILLED")} - waiting)
            if idle:
                self.records.tasks.update_one({"_id": idle[0]}, {"$set": {"status": "COMPLETED"}})
            elif waiting:
                self.end_a_deadlock()
            else:
                break
        assert self.requests("PENDING") == []
        assert self.drivers.granted == {}
        assert self.records.devices.count_documents({"holder": None, "state": "free"}) == len(DEVICES)
        assert self.records.positions.count_documents({"holder": None}) == len(PLACES)

    def end_a_deadlock(self) -> None:
        stuck = [request for request in self.requests("PENDING") if request.get("deadlock")]
        assert stuck, "nobody gives anything back, and no deadlock is told of"
        assert (stuck[0]["waits_for"] or "").startswith("This is a deadlock")
        self.records.tasks.update_one({"_id": stuck[0]["task"]}, {"$set": {"status": "CANCELLED"}})

    # -- how ---------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """New managers, which know nothing."""
        self.bus = Bus(self.records.database)
        self.manager = WatchedManager(
            self.records, Catalog(self.records), self.bus, self.drivers, self.want, self.policy, lambda: self.time
        )
        self.manager.watch(self.nobody_is_passed_over)
        self.settle()

    def want(self, wanted: Mapping[str, str]) -> None:
        self.wanted = dict(wanted)

    def settle(self) -> None:
        """Let the manager run until no event tells of anything more."""
        self.time += 2.0
        try:
            self.manager.reconcile()
            while self.hear():
                self.manager.reconcile()
        except AutoReconnect:
            self.begin()

    def hear(self) -> bool:
        """Hand on the events up to now; whether any concerned the manager."""
        mark = new_id()
        self.records.database["marks"].insert_one({"_id": mark})
        self.manager._woken.clear()
        while (event := self.stream.next())["documentKey"]["_id"] != mark:
            self.bus._tell(event)
        return self.manager._woken.is_set()

    def request(self, task: str, attempt: int, number: int, priority: int) -> None:
        made = Request(
            _id=new_id(),
            task=task,
            attempt=attempt,
            snapshot=NEW,
            wants=WANTS[number % len(WANTS)],
            priority=priority,
            status="PENDING",
            created_at=now(),
            grant=None,
            waits_for=None,
            error=None,
        )
        self.asked.append(made["_id"])
        self.records.requests.insert_one(made)
        self.settle()

    def requests(self, status: str) -> list[Request]:
        return sorted(self.records.requests.find({"status": status}), key=lambda each: each["_id"])

    def rank(self, request: Request) -> tuple[int, int]:
        """The urgent come first, then those that asked first."""
        return -request["priority"], self.asked.index(request["_id"])

    def valid(self) -> list[Request]:
        """What is granted to the present attempts, in the order of asking."""
        attempts = {task["_id"]: task["attempt"] for task in self.records.tasks.find({})}
        return [each for each in self.requests("FULFILLED") if each["attempt"] == attempts[each["task"]]]

    def alter(self, requests: list[Request], which: int, status: str) -> None:
        if requests:
            chosen = requests[which % len(requests)]
            mine = {"_id": chosen["_id"], "status": chosen["status"]}
            self.records.requests.update_one(mine, {"$set": {"status": status}})
            self.settle()

    def change_task(self, which: int, before: set[str], after: str) -> str | None:
        found = sorted(task["_id"] for task in self.records.tasks.find({"status": {"$in": list(before)}}))
        if not found:
            return None
        task = found[which % len(found)]
        self.records.tasks.update_one({"_id": task}, {"$set": {"status": after}})
        self.settle()
        return task

    def change_device(self, name: str, **fields: Any) -> None:
        self.records.devices.update_one({"_id": name}, {"$set": fields})
        self.settle()

    def decide(self, request: Request) -> Any:
        """What the request could have if nothing were kept for others."""
        situation = self.manager._ledger.situation()
        known = {name: each["holder"] for name, each in situation.devices.items()}
        assert known == {name: self.device(name)["holder"] for name in DEVICES}, "the manager knows other holders"
        return choose(request, [], situation, _definitions())

    def task(self, name: str) -> Any:
        return self.records.tasks.find_one({"_id": name})

    def device(self, name: str) -> Any:
        return self.records.devices.find_one({"_id": name})

    def holding(self, name: str) -> Any:
        return self.device(name) if name in DEVICES else self.records.positions.find_one({"_id": name})


def _definitions() -> Definitions:
    return DEFINITIONS[NEW]


def _device(name: str) -> Document:
    binding = {"digest": _definitions().drivers[name], "process": "p", "address": ADDRESS, "snapshot": NEW}
    free = {"holder": None, "request": None, "fence": 0, "paused": False, "state": "free", "error": None}
    return {"_id": name, "group": name, "binding": binding, "failed_digest": None, **free}
