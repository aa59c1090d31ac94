"""A device manager over real driver processes, and the documents that decide what it does."""

from __future__ import annotations

from typing import Any

from hotswap.process import DeathWatch
from lab.catalog import Catalog, Definitions
from lab.managers.bus import Bus
from lab.managers.devices import DeviceManager
from lab.records import Pin, Records, Request, new_id, now

SECRET, OLD, NEW = "correct horse", "a" * 64, "b" * 64
SLOTS = [{"name": "slot", "number": 2, "description": ""}]


def device(group: str) -> dict[str, Any]:
    facts = {"class": "tiny_lab:Furnace", "bases": ["tiny_lab:Furnace"], "description": "a box"}
    return {**facts, "group": group, "positions": SLOTS}


class Managed:
    """A device manager and the documents that decide what it does."""

    def __init__(self, records: Records, children: Any, arguments: dict[str, Any], eventually: Any) -> None:
        self.records = records
        self.children = children
        self.eventually = eventually
        self.pin = Pin(snapshot=OLD, generation=1, commit=None, dirty=False, environment="e")
        self.arguments = arguments
        self._watch = DeathWatch()
        self.describe(OLD, {"furnace": "d1", "other": "o1"})
        self.describe(NEW, {"furnace": "d2", "other": "o1"})

    def describe(self, snapshot: str, drivers: dict[str, str], group: str | None = None) -> None:
        defined = {name: device(group or name) for name in drivers}
        definitions = Definitions(snapshot, "tiny_lab", devices=defined, tasks={}, positions=[], drivers=drivers)
        Catalog(self.records).put(definitions)

    def start(self) -> None:
        self.manager = self.fresh()
        self.bus.start()
        self.manager.start()

    def fresh(self) -> DeviceManager:
        """A manager that was not started, and knows no driver process yet."""
        self.bus = Bus(self.records.database)
        return DeviceManager(
            self.records,
            Catalog(self.records),
            self.bus,
            fleet=self.children,
            watch=self._watch,
            current=lambda: self.pin,
            secret=SECRET,
            driver_arguments=self.arguments,
        )

    def stop(self) -> None:
        self.manager.stop()
        self.bus.stop()

    def close(self) -> None:
        self.stop()
        self._watch.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def promote(self, snapshot: str) -> None:
        self.pin = Pin(**{**self.pin, "snapshot": snapshot, "generation": self.pin["generation"] + 1})
        self.manager.wake()

    def device(self, name: str) -> Any:
        return self.records.devices.find_one({"_id": name})

    def bound(self, name: str, snapshot: str) -> Any:
        free = {"_id": name, "state": "free", "binding.snapshot": snapshot}
        return self.eventually(lambda: self.records.devices.find_one(free))

    def driver(self, name: str) -> Any:
        return self.children.running[self.device(name)["binding"]["process"]]

    def grant(self, name: str) -> str:
        """Do what the resource manager does; returns the request."""
        request_id, fence = new_id(), self.device(name)["fence"] + 1
        binding = self.device(name)["binding"]
        entry = {"key": name, "device": name, "fence": fence, "address": binding["address"]}
        request = Request(
            _id=request_id,
            task="t1",
            attempt=1,
            snapshot=OLD,
            wants=[],
            priority=20,
            status="FULFILLED",
            created_at=now(),
            grant={"devices": [{**entry, "snapshot": OLD, "digest": "d1"}], "positions": {}},  # type: ignore[typeddict-item]
            waits_for=None,
            error=None,
        )
        self.records.requests.insert_one(request)
        held = {"state": "granted", "holder": "t1", "request": request_id, "fence": fence}
        self.records.devices.update_one({"_id": name}, {"$set": held})
        self.driver(name).call("grant", device=name, fence=fence, task="t1")
        return request_id

    def events(self, kind: str) -> list[Any]:
        return list(self.records.events.find({"kind": kind}))

    def free(self, name: str) -> None:
        self.records.devices.update_one({"_id": name}, {"$set": {"state": "free", "holder": None, "request": None}})

    def which(self, name: str, fence: int) -> Any:
        return self.ask(name, fence, "which")

    def ask(self, name: str, fence: int, method: str, *args: Any) -> Any:
        """Call a method as the task that holds the device."""
        call = {"method": method, "args": list(args), "kwargs": {}, "task": "t1", "attempt": 1}
        return self.driver(name).call("call", device=name, fence=fence, **call)

    def use(self, name: str, method: str, *args: Any) -> Any:
        """Hold the device for one call."""
        self.grant(name)
        fence = self.device(name)["fence"]
        try:
            return self.ask(name, fence, method, *args)
        finally:
            self.driver(name).call("revoke", device=name, fence=fence)
            self.free(name)
