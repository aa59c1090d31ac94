"""A small laboratory in memory: its documents, what happens to them, and readings of them without a database."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.catalog import Definitions
from lab.managers._readings import Readings
from lab.managers.changes import Changed
from lab.managers.choice import Choice
from lab.managers.ledger import Ledger
from lab.managers.turns import Turns
from lab.records import Request, Want

OLD, NEW = "0" * 64, "1" * 64
FURNACE = "my_lab:Furnace"
FURNACES = ("furnace_1", "furnace_2", "furnace_3")
DEVICES = (*FURNACES, "arm", "balance")
PLACES = [(name, "slot", f"{name}/slot/{n}") for name in FURNACES for n in (1, 2)]
PLACES += [(None, "table", f"table/{n}") for n in (1, 2, 3)]  # type: ignore[list-item]
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def define(snapshot: str) -> Definitions:
    """The drivers of the arm and of one furnace differ between the two versions; furnace_2 and the arm share a door."""
    devices = {
        name: {
            "bases": [FURNACE if name in FURNACES else f"my_lab:{name.title()}", "my_lab:Thing"],
            "group": "door" if name in ("furnace_2", "arm") else name,
            "positions": [{"name": "slot", "number": 2}] if name in FURNACES else [],
        }
        for name in DEVICES
    }
    drivers = {name: f"{snapshot[0]}" if name in ("arm", "furnace_1") else "both" for name in DEVICES}
    return Definitions(snapshot, "my_lab", devices, {}, [{"name": "table", "number": 3}], drivers)


DEFINITIONS = {snapshot: define(snapshot) for snapshot in (OLD, NEW)}


class Collection:
    """As much of a collection as readings use."""

    def __init__(self, documents: dict[str, Any]) -> None:
        self.documents = documents

    def find(self, query: dict[str, Any], _fields: Any = None) -> list[Any]:
        found = [document for document in self.documents.values() if _fits(document, query)]
        return deepcopy(found)


def _fits(document: Any, query: dict[str, Any]) -> bool:
    for key, condition in query.items():
        if "$in" in condition and document[key] not in condition["$in"]:
            return False
        if "$type" in condition and not isinstance(document[key], str):
            return False
    return True


class World:
    """The documents, by collection and id."""

    def __init__(self) -> None:
        self.devices: dict[str, Any] = {name: _device(name) for name in DEVICES}
        self.positions: dict[str, Any] = {
            name: {"_id": name, "device": device, "prefix": prefix, "holder": None, "request": None}
            for device, prefix, name in PLACES
        }
        self.samples: dict[str, Any] = {f"s{n}": {"_id": f"s{n}", "position": None} for n in range(6)}
        self.tasks: dict[str, Any] = {}
        self.requests: dict[str, Any] = {}
        self.changed: dict[str, set[str]] = {}
        self._clock = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> World:
        made = World()
        for name in ("devices", "positions", "samples", "tasks", "requests", "changed", "_clock"):
            setattr(made, name, deepcopy(getattr(self, name), memo))
        return made

    def collection(self, name: str) -> Collection:
        return Collection(getattr(self, name))

    def touch(self, collection: str, name: str, **fields: Any) -> None:
        getattr(self, collection)[name].update(fields)
        self.changed.setdefault(collection, set()).add(name)

    def news(self) -> Changed:
        taken = Changed(ids={name: frozenset(ids) for name, ids in self.changed.items()})
        self.changed.clear()
        return taken

    def task(self, *samples: str) -> str:
        name = f"t{len(self.tasks):03}"
        self.tasks[name] = {"_id": name, "status": "RUNNING", "attempt": 1, "samples": list(samples)}
        return name

    def ask(self, task: str, *wants: Want, priority: int = 20, snapshot: str = NEW) -> str:
        self._clock += 1
        name = f"r{self._clock:03}"
        self.requests[name] = Request(
            _id=name,
            task=task,
            attempt=1,
            snapshot=snapshot,
            wants=list(wants),
            priority=priority,
            status="PENDING",
            created_at=BEGIN + timedelta(seconds=self._clock),
            grant=None,
            waits_for=None,
            error=None,
        )
        self.touch("requests", name)
        return name

    def grant(self, name: str, choice: Choice) -> None:
        """As the granter does: what belongs to an outer request of the task stays with that."""
        task = self.requests[name]["task"]
        mine = {"holder": task, "request": name}
        for device in choice.devices.values():
            if self.devices[device]["holder"] is None:
                self.touch("devices", device, state="granted", **mine)
        for place in choice.places():
            if self.positions[place]["holder"] is None:
                self.touch("positions", place, **mine)
        self.touch("requests", name, status="FULFILLED")

    def release(self, name: str, hold: float | None = None) -> None:
        """Give back what a request holds; ``hold`` is the new typical time."""
        for device in [each for each in self.devices.values() if each["request"] == name]:
            state = "free" if device["state"] == "granted" else device["state"]
            typical = device["typical_hold"] if hold is None else hold
            self.touch("devices", device["_id"], state=state, holder=None, request=None, typical_hold=typical)
        for place in [each for each in self.positions.values() if each["request"] == name]:
            self.touch("positions", place["_id"], holder=None, request=None)
        self.touch("requests", name, status="RELEASED")

    def move(self, sample: str, place: str | None) -> None:
        if not any(each["position"] == place for each in self.samples.values() if place is not None):
            self.touch("samples", sample, position=place)

    def with_status(self, status: str) -> list[str]:
        return sorted(name for name, request in self.requests.items() if request["status"] == status)


def _device(name: str) -> dict[str, Any]:
    return {
        "_id": name,
        "group": DEFINITIONS_GROUPS[name],
        "state": "free",
        "binding": {"digest": "1" if name in ("arm", "furnace_1") else "both"},
        "holder": None,
        "request": None,
        "paused": False,
        "error": None,
        "failed_digest": None,
        "typical_hold": None,
    }


DEFINITIONS_GROUPS = {name: "door" if name in ("furnace_2", "arm") else name for name in DEVICES}


class Mirror:
    """A ledger and turns that follow a world by what changed in it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ledger = Ledger()
        self.turns = Turns(self.ledger, DEFINITIONS.get)
        self.readings = Readings(self, self.ledger, self.turns)  # type: ignore[arg-type]
        self.readings.read(Changed(everything=True))

    def __getattr__(self, name: str) -> Collection:
        return self.world.collection(name)

    def follow(self) -> set[str]:
        """Read the news; returns the requests to look after."""
        return self.readings.read(self.world.news())

    def serve(self) -> list[str]:
        """Grant what can be granted, as the resource manager does; returns the requests in their order."""
        served = []
        while (turn := self.turns.next()) is not None:
            request, decision = turn
            if isinstance(decision, Choice):
                self.world.grant(request["_id"], decision)
                self.readings.reread(decision.devices.values(), decision.places())
                self.readings.learn_request({**request, "status": "FULFILLED"})
                served.append(request["_id"])
        return served

    def decided(self) -> int:
        """How many decisions are due, while nothing is granted."""
        count = 0
        while self.turns.next() is not None:
            count += 1
        return count


def want(name: str | None, key: str | None = None, **positions: int) -> Want:
    kind = "none" if name is None else "class" if ":" in name else "device"
    return Want(key=key or str(name), kind=kind, name=name, positions=positions)
