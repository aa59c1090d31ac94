"""A laboratory's managers on a real database, with workers, drivers and fleet played by the test."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from hotswap import wire
from hotswap.process import DeathWatch, Identity
from hotswap.store import Store
from lab.catalog import Definitions
from lab.managers.links import DriverLinks
from lab.managers.resources import DeadlockPolicy
from lab.records import (
    Binding,
    Device,
    DeviceState,
    Document,
    Position,
    Request,
    RequestStatus,
    Task,
    TaskStatus,
    Want,
    Worker,
    new_id,
    now,
)
from lab.server.backend import Backend, Ground, Surroundings

SECRET = "shared by driver and managers"
OLD, NEW = "0" * 64, "1" * 64
HEATING = {
    "type": "object",
    "properties": {"minutes": {"type": "integer"}},
    "required": ["minutes"],
    "additionalProperties": False,
}


class FakeDriver:
    """A driver process that keeps the rules and notes who broke them."""

    def __init__(self) -> None:
        self.granted: dict[str, tuple[int, str]] = {}
        self.fences: defaultdict[str, int] = defaultdict(int)
        self.violations: list[str] = []
        self.log: list[tuple[str, str, int]] = []
        self.refuse: set[str] = set()
        self.hang = threading.Event()
        self.hang.set()
        listener = wire.listen()
        self.address = wire.address_of(listener)
        handlers = {"grant": self._grant, "revoke": self._revoke}
        self._server = wire.Server(listener, SECRET, {"name": "driver"}, handlers)
        self._thread = threading.Thread(target=self._server.serve)
        self._thread.start()

    def stop(self) -> None:
        self.hang.set()
        self._server.stop()
        self._thread.join()

    def _grant(self, device: str, fence: int, task: str) -> None:
        self.log.append(("grant", device, fence))
        if device in self.refuse:
            raise RuntimeError(f"{device} is refused")
        holder = self.granted.get(device)
        if holder is not None and holder[1] != task:
            self.violations.append(f"{device} granted to {task} while {holder[1]} holds it")
        if fence <= self.fences[device]:
            self.violations.append(f"{device}: fence {fence} after {self.fences[device]}")
        self.fences[device] = fence
        self.granted[device] = (fence, task)

    def _revoke(self, device: str, fence: int) -> None:
        self.hang.wait()
        self.log.append(("revoke", device, fence))
        if device in self.granted and self.granted[device][0] <= fence:
            del self.granted[device]


class FakeDevices:
    """The device manager: remembers what it is asked for."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.rebinds: queue.Queue[tuple[str, str]] = queue.Queue()
        self.revoked: list[str] = []
        self.asked: list[tuple[str, str]] = []

    def start(self) -> None: ...
    def stop(self) -> None: ...

    def shutdown(self) -> None:
        self.asked.append(("shutdown", ""))

    def want(self, drivers: Mapping[str, str]) -> None:
        for wanted in drivers.items():
            self.rebinds.put(wanted)

    def revoke(self, device: str, request: str | None = None) -> None:
        self.revoked.append(device)
        self._ground.records.devices.update_one({"_id": device}, {"$inc": {"fence": 1}})

    def pause(self, device: str) -> None:
        self._ground.records.devices.update_one({"_id": device}, {"$set": {"paused": True}})

    def release(self, device: str) -> None:
        self._ground.records.devices.update_one({"_id": device}, {"$set": {"paused": False}})

    def emergency_stop(self, device: str) -> None:
        self.asked.append(("emergency_stop", device))


class FakeLone:
    """The processes of single tasks: remembers what it is asked for."""

    def __init__(self) -> None:
        self.started: queue.Queue[tuple[str, str, int]] = queue.Queue()
        self.killed: list[str] = []

    def start(self, snapshot: str, task: str, attempt: int) -> None:
        self.started.put((snapshot, task, attempt))

    def kill(self, name: str) -> None:
        self.killed.append(name)

    def sweep(self) -> None: ...


class FakeRefreshes:
    def start(self) -> None: ...
    def stop(self) -> None: ...

    def request(self, rev: str | None, actor: str, trigger: str, **way: bool) -> Document:
        return {"_id": "r", "rev": rev, "actor": actor, "trigger": trigger, "outcome": "live", **way}

    def plan(self, rev: str | None) -> Document:
        return {"snapshot": NEW, "drain_set": []}

    def roll_back(self, generation: int, actor: str, **way: bool) -> Document:
        return {"_id": "r", "generation": generation, "actor": actor, **way}

    def cancel(self, actor: str) -> Document:
        return {"_id": "r", "actor": actor, "outcome": "undone"}


class FakeCollection:
    def start(self) -> None: ...
    def stop(self) -> None: ...

    def collect(self, *, dry_run: bool = False) -> list[Document]:
        return [{"snapshot": OLD, "keep": dry_run, "reason": "nothing refers to it", "size": 2048}]


class Lab:
    """The managers of one laboratory, and helpers that play everybody else."""

    def __init__(self, database: Database[Document], folder: Path, deadlock: DeadlockPolicy = "tell") -> None:
        self.database = database
        self._folder = folder
        self._deadlock = deadlock
        self.driver = FakeDriver()
        self.sent: queue.Queue[tuple[str, str, int]] = queue.Queue()
        self.ensured: queue.Queue[str] = queue.Queue()
        self.processes: list[Document] = [{"name": "worker"}]
        self.stopped = threading.Event()
        self._changed = threading.Event()
        self._watch = DeathWatch()
        self._links = DriverLinks(SECRET, timeout=0.3)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.backend: Backend | None = None
        self.build()

    def build(self) -> None:
        """New managers, as after a restart of their process."""
        self.ground = Ground(self.database)
        self.records = self.ground.records
        self.devices = FakeDevices(self.ground)
        self.lone = FakeLone()
        surroundings = Surroundings(
            send=lambda *hint: self.sent.put(hint),
            links=self._links,
            watch=self._watch,
            end_workers=lambda: None,
            ensure_worker=self.ensured.put,
            processes=lambda: self.processes,
            shutdown=self.stopped.set,
            deadlock=self._deadlock,
            lone=self.lone,  # type: ignore[arg-type]  # a stand-in
        )
        for collection in ("tasks", "experiments", "requests", "devices", "positions", "workers", "prompts"):
            self.ground.bus.subscribe(collection, self._changed.set)
        collection = FakeCollection()
        self.new_backend = Backend(
            self.ground, surroundings, self.devices, FakeRefreshes(), collection, Store(self._folder)
        )

    def start(self) -> None:
        self.backend = self.new_backend
        self.backend.start()

    def stop(self) -> None:
        if self.backend is not None:
            self.backend.stop()
            self.backend = None

    def close(self) -> None:
        self.stop()
        for process in self._processes:
            process.kill()
            process.wait()
        self._watch.close()
        self._links.close()
        self.driver.stop()

    def until(self, condition: Callable[[], Any], timeout: float = 20.0) -> Any:
        """Wait until the documents fulfil a condition, looking whenever one changes; returns what it gave."""
        deadline = time.monotonic() + timeout
        while True:
            self._changed.clear()
            if found := condition():
                return found
            remaining = deadline - time.monotonic()
            assert remaining > 0, "what was waited for did not happen"
            self._changed.wait(min(remaining, 1.0))

    def task(self, task_id: str) -> Task:
        found = self.records.tasks.find_one({"_id": task_id})
        assert found is not None
        return found

    def becomes(self, task_id: str, status: TaskStatus) -> Task:
        self.until(lambda: self.task(task_id)["status"] == status)
        return self.task(task_id)

    def promote(self, snapshot: str, schema: Document = HEATING, digest: str = "new") -> None:
        """Make a snapshot of four furnaces and an arm current; ``digest`` is that of its drivers."""
        self.ground.catalog.put(definitions(snapshot, schema, digest))
        current = self.ground.generations.current()
        self.ground.generations.promote(
            snapshot,
            expected=current.number if current else None,
            commit=f"commit of {snapshot[:4]}",
            dirty=False,
            environment="e",
            actor="test",
            reason="test",
        )

    def describe(self, **policies: str) -> None:
        """Have the class of the tasks say what becomes of them, such as ``on_crash="retry"``."""
        described = definitions(NEW, HEATING, "new")
        described.tasks["Heating"].update(policies)
        self.ground.catalog.put(described)

    def add_worker(self, snapshot: str = NEW, capacity: int = 10) -> subprocess.Popen[bytes]:
        """A worker's document, standing for a real process that can be killed."""
        process = subprocess.Popen(["sleep", "600"])
        self._processes.append(process)
        name = f"worker-{len(self._processes)}"
        self.records.workers.insert_one(
            Worker(
                _id=name,
                snapshot=snapshot,
                queue=f"queue-{snapshot[0]}",
                identity=Identity.of(process.pid).to_dict(),
                instance=new_id(),
                address=("127.0.0.1", 1),
                capacity=capacity,
                running=0,
                beat=0,
                started_at=now(),
            )
        )
        return process

    def submit(self, *previous: list[int], minutes: int = 1) -> list[str]:
        """An experiment with one task per argument, which lists those before it; returns the tasks' ids."""
        tasks = [{"type": "Heating", "parameters": {"minutes": minutes}, "prev_tasks": each} for each in previous]
        experiment = self.new_backend.submit({"name": "test", "tasks": tasks})
        found = self.records.experiments.find_one({"_id": experiment})
        assert found is not None
        return found["tasks"]

    def claim(self, task_id: str, worker: str = "worker-1") -> None:
        """What a worker does with a hint."""
        claim = {"worker": worker, "token": new_id(), "at": now()}
        change = {"$set": {"status": TaskStatus.RUNNING, "claim": claim, "started_at": now()}}
        query = {"_id": task_id, "status": TaskStatus.INITIATED, "claim": None}
        assert self.records.tasks.update_one(query, change).modified_count == 1

    def end(self, task_id: str, status: TaskStatus = TaskStatus.COMPLETED) -> None:
        self.records.tasks.update_one({"_id": task_id}, {"$set": {"status": status, "ended_at": now()}})

    def run(self, worker: str = "worker-1") -> str:
        """Claim the next task that is hinted at."""
        _, task_id, _ = self.sent.get(timeout=20)
        self.claim(task_id, worker)
        return task_id

    def furnish(self, digest: str = "new") -> None:
        """The devices and positions of the lab, connected with drivers of ``digest``."""
        defined = definitions(NEW, HEATING, digest)
        binding = Binding(
            snapshot=NEW, generation=1, digest=digest, process="driver", address=self.driver.address, bound_at=now()
        )
        for name in defined.devices:
            self.records.devices.insert_one(_device(name, binding))
            for prefix, place in defined.device_positions(name):
                self.records.positions.insert_one(
                    Position(_id=place, device=name, prefix=prefix, holder=None, request=None)
                )

    def running_task(self) -> str:
        """A task in the hands of a worker, without the road there."""
        task_id = new_id()
        pin = {"snapshot": NEW, "generation": 1, "commit": None, "dirty": False, "environment": "e"}
        self.records.tasks.insert_one(
            {  # type: ignore[typeddict-item]
                "_id": task_id,
                "status": TaskStatus.RUNNING,
                "claim": {"worker": "worker-1", "token": new_id(), "at": now()},
                "pin": pin,
                "attempt": 1,
                "samples": [],
                "parent": None,
                "experiment": "e",
                "type": "Heating",
                "started_at": now(),
            }
        )
        return task_id

    def request(self, task_id: str, *wants: Want, priority: int = 20, attempt: int = 1, snapshot: str = NEW) -> str:
        request_id = new_id()
        self.records.requests.insert_one(
            Request(
                _id=request_id,
                task=task_id,
                attempt=attempt,
                snapshot=snapshot,
                wants=list(wants),
                priority=priority,
                status=RequestStatus.PENDING,
                created_at=now(),
                grant=None,
                waits_for=None,
                error=None,
            )
        )
        return request_id

    def asked(self, request_id: str) -> Request:
        found = self.records.requests.find_one({"_id": request_id})
        assert found is not None
        return found

    def reaches(self, request_id: str, status: RequestStatus) -> Request:
        self.until(lambda: self.asked(request_id)["status"] == status)
        return self.asked(request_id)

    def give_back(self, request_id: str) -> None:
        query = {"_id": request_id, "status": RequestStatus.FULFILLED}
        self.records.requests.update_one(query, {"$set": {"status": RequestStatus.NEED_RELEASE}})

    def device(self, name: str) -> Device:
        found = self.records.devices.find_one({"_id": name})
        assert found is not None
        return found


def definitions(snapshot: str, schema: Document, digest: str) -> Definitions:
    furnaces = {
        f"furnace_{number}": {
            "bases": ["my_lab:Furnace"],
            "group": f"furnace_{number}",
            "positions": [{"name": "slot", "number": 2}],
        }
        for number in (1, 2)
    }
    devices = {**furnaces, "arm": {"bases": ["my_lab:Arm"], "group": "arm", "positions": []}}
    return Definitions(
        snapshot=snapshot,
        package="my_lab",
        devices=devices,
        tasks={"Heating": {"schema": schema}},
        positions=[],
        drivers=dict.fromkeys(devices, digest),
        code={},
    )


def _device(name: str, binding: Binding) -> Device:
    return Device(
        _id=name,
        group=name,
        type="my_lab:Device",
        description="",
        state=DeviceState.FREE,
        binding=binding,
        holder=None,
        request=None,
        fence=0,
        paused=False,
        message="",
        connects=1,
        disconnects=0,
        error=None,
    )


def want(name: str, **positions: int) -> Want:
    return Want(key=name, kind="class" if ":" in name else "device", name=name, positions=positions)


@pytest.fixture
def lab(request: pytest.FixtureRequest, mongo_uri: str, tmp_path: Path) -> Iterator[Lab]:
    """Managers that are built but not started, on an empty database; a parameter is the policy for deadlocks."""
    name = f"managers_{os.getpid()}_{new_id()[-6:]}"
    with MongoClient[Document](mongo_uri, tz_aware=True) as client:
        made = Lab(client[name], tmp_path / "store", getattr(request, "param", "tell"))
        yield made
        made.close()
        client.drop_database(name)
