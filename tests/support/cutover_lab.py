"""The managers of a laboratory on a real database, run step by step; drivers, workers and templates are played."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any
from unittest.mock import patch

from cutover_fate import Crash, Fate, Turn, give_turn
from pymongo.database import Database

from hotswap.cutover import NotCutOverError, Pipeline, Refresh
from hotswap.environment import Environment
from hotswap.errors import RemoteError
from hotswap.generations import Generation, Generations
from hotswap.snapshot import FileEntry, Origin, Snapshot
from lab.catalog import Catalog, Definitions
from lab.managers import barrier
from lab.managers._drivers import Driver
from lab.managers.barrier import BarrierManager
from lab.managers.barrier_gate import active
from lab.managers.bus import Bus, Manager
from lab.managers.commands import Commands
from lab.managers.devices import DeviceManager
from lab.managers.refresh import RetirementManager
from lab.managers.resources import ResourceManager
from lab.managers.tasks import TaskManager
from lab.managers.unstarted import Unstarted
from lab.records import CLAIMED, Document, Pin, Records, TaskStatus, now, pin_to

DRIVERS = [
    {"furnace": "f1", "oven": "o1", "arm": "a1"},
    {"furnace": "f2", "oven": "o1", "arm": "a1"},
    {"furnace": "f1", "oven": "o1", "arm": "a2", "balance": "b1"},
    {"furnace": "f3", "oven": "o2"},
]
"""Device -> driver digest, by version; furnace and oven have one handle."""

GROUPS = {"furnace": "door", "oven": "door", "arm": "arm", "balance": "balance"}


def snapshot(number: int) -> Snapshot:
    entry = FileEntry("my_lab/__init__.py", 0o644, 1, f"{number}" * 64)
    return Snapshot.of("my_lab", (entry,), Environment("cp311", ()), Origin(commit=f"{number}" * 40, dirty=False))


SNAPSHOTS = [snapshot(number) for number in range(len(DRIVERS))]
NUMBERS = {each.id: number for number, each in enumerate(SNAPSHOTS)}


def definitions(number: int) -> Definitions:
    drivers = DRIVERS[number]
    facts = {"class": "my_lab:Device", "bases": ["my_lab:Device"], "description": ""}
    positions = [{"name": "slot", "number": 1}]
    devices = {name: {**facts, "group": GROUPS[name], "positions": positions} for name in drivers}
    tasks = {kind: {"schema": {"type": "object"}} for kind in ("Heating", "Dosing") if (kind, number) != ("Dosing", 3)}
    return Definitions(SNAPSHOTS[number].id, "my_lab", devices=devices, tasks=tasks, positions=[], drivers=drivers)


class Process:
    """A driver process."""

    def __init__(self, name: str, port: int, digests: dict[str, str]) -> None:
        self.name = name
        self.address = ("127.0.0.1", port)
        self.identity: Any = port
        self.digests = digests
        self.connected: set[str] = set()
        self.granted: dict[str, tuple[int, str]] = {}


class Hardware:
    """The driver processes and what they are connected with; outlives the managers. Notes who breaks the rules."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self._ports = 0
        self.running: dict[str, Process] = {}
        self.broken: set[str] = set()
        self.fences: dict[str, int] = {}
        self.violations: list[str] = []

    def ensure(self, name: str, snapshot: str, entry: str, arguments: Document) -> Process:
        return self._fate.do(lambda: self._start(name, arguments["drivers"]))

    def _start(self, name: str, digests: dict[str, str]) -> Process:
        if name not in self.running:
            self._ports += 1
            self.running[name] = Process(name, self._ports, digests)
        return self.running[name]

    def stop(self, name: str, grace: float = 0.0) -> None:
        self._fate.do(lambda: self.running.pop(name, None))

    kill = stop

    def processes(self) -> list[Document]:
        return [{"name": name} for name in self.running]

    def watch(self, identity: object, on_death: object) -> None:
        """No driver process dies by itself here."""

    def of(self, device: str) -> list[Process]:
        return [process for process in self.running.values() if device in process.connected]

    def call(self, address: Any, op: str, device: str, **arguments: Any) -> Any:
        process = next((each for each in self.running.values() if each.address == tuple(address)), None)
        if process is None:
            raise ConnectionRefusedError(f"nothing answers at {address}")
        if op == "status":
            return self._status(process, device)
        return self._fate.do(lambda: getattr(self, f"_{op}")(process, device, **arguments))

    def _status(self, process: Process, device: str) -> Document:
        connected = device in process.connected
        fence = process.granted.get(device, (None, ""))[0]
        return {"present": connected, "connected": connected, "running": False, "stopped": False, "fence": fence}

    def _connect(self, process: Process, device: str, stops: int) -> Document:
        if process.digests[device] in self.broken:
            raise RemoteError("no such port", "OSError")
        if any(other is not process for other in self.of(device)):
            self.violations.append(f"{process.name} connects {device}, which another process has")
        process.connected.add(device)
        return {"simulated": True}

    def _disconnect(self, process: Process, device: str) -> None:
        if device in process.granted:
            self.violations.append(f"{device} is disconnected while {process.granted[device][1]} holds it")
        process.connected.discard(device)

    def _export_state(self, process: Process, device: str) -> Any:
        return {"setpoint": 900} if device == "furnace" else None

    def _import_state(self, process: Process, device: str, state: Any) -> None:
        if state != {"setpoint": 900}:
            self.violations.append(f"{device} was handed over as {state}")

    _verify_state = _import_state

    def _grant(self, process: Process, device: str, fence: int, task: str) -> None:
        holder = process.granted.get(device)
        if holder is not None and holder[1] != task:
            self.violations.append(f"{device} is granted to {task} while {holder[1]} holds it")
        if fence <= self.fences.get(device, 0):
            raise RemoteError(f"{device} was granted before with fence {fence}", "FenceError")
        self.fences[device] = fence
        process.granted[device] = (fence, task)

    def _revoke(self, process: Process, device: str, fence: int) -> None:
        self.fences[device] = max(fence, self.fences.get(device, 0))
        if device in process.granted and process.granted[device][0] <= fence:
            del process.granted[device]


class Participant:
    """The laboratory's part in a refresh: everything is frozen and described already."""

    def __init__(self, ensure_worker: Callable[[str], None]) -> None:
        self._ensure_worker = ensure_worker

    def freeze(self, rev: str | None) -> Snapshot:
        return SNAPSHOTS[int(rev or 0)]

    def allow(self, snapshot: Snapshot) -> None: ...
    def describe(self, snapshot: Snapshot) -> None: ...

    def plan(self, snapshot: Snapshot) -> Document:
        return {}

    def warm_up(self, snapshot: Snapshot) -> None:
        self._ensure_worker(snapshot.id)

    def warm_up_known(self, snapshot: str) -> None:
        self._ensure_worker(snapshot)

    def promoted(self, generation: Generation) -> None: ...


class _Barrier(BarrierManager):
    """Whose refresh gives the turn to others where it would wait for them."""

    def __init__(self, lab: CutoverLab, bus: Bus) -> None:
        super().__init__(lab.records, bus, lab.devices, timeout=1e9)
        self._lab = lab

    def _pause(self, superseded: Callable[[], bool]) -> None:
        give_turn()
        if self._lab.fate.dead:
            raise Crash
        super()._pause(superseded)


class CutoverLab:
    """``start`` makes new managers, as after the death of their process; a ``step`` lets one of them run once."""

    def __init__(self, database: Database[Document], fate: Fate) -> None:
        self.fate = fate
        self.records = Records(database)
        self.generations = Generations(database)
        self.hardware = Hardware(fate)
        self.sent: list[tuple[str, str, int]] = []
        self.turns: list[Turn] = []
        self._begun = self._heard = 0
        self._bus: Bus
        self._stream: Any = None
        self._open = ExitStack()
        call = self.hardware.call
        for what, name, played in (
            (Driver, "call", lambda driver, op, device, timeout=None, **rest: call(driver.address, op, device, **rest)),
            (Manager, "start", lambda _: None),
            (barrier, "_POLL_SECONDS", 0.0),
        ):
            self._open.enter_context(patch.object(what, name, played))
        for number in range(len(DRIVERS)):
            Catalog(self.records).put(definitions(number))
        self.start()

    def start(self) -> None:
        database, bus = self.records.database, Bus(self.records.database)
        self._listen(bus)
        self.catalog = Catalog(self.records)
        self.devices = DeviceManager(
            self.records,
            self.catalog,
            bus,
            fleet=self.hardware,
            watch=self.hardware,  # type: ignore[arg-type]
            current=self.current,
            secret="",
            driver_arguments={},
        )
        self.barrier = _Barrier(self, bus)
        self.tasks = TaskManager(self.records, self.catalog, bus, self.current, lambda *hint: self.sent.append(hint))
        self.resources = ResourceManager(self.records, self.catalog, bus, self.hardware, self.devices.want)
        self.retirement = RetirementManager(self.records, bus, self._end_worker)
        self.commands = Commands(
            self.records, self.catalog, self.devices.revoke, self.devices.emergency_stop, lambda: None
        )
        self.unstarted = Unstarted(self.records, self.catalog, None, self.commands, lambda: None)
        participant = Participant(self._ensure_worker)
        self.pipeline = Pipeline(database["refreshes"], self.generations, participant, self.barrier)
        self.pipeline.recover()
        self.retirement.repair()

    def crashed(self) -> None:
        """What ran in the process ends with it."""
        self.fate.dead = True
        for turn in self.turns:
            while not turn.ended:
                try:
                    turn.resume()
                except Crash:
                    continue
        self.turns.clear()
        self.fate.survived()

    def close(self) -> None:
        self.crashed()
        self._stream.close()
        self._open.close()

    def current(self) -> Pin | None:
        generation = self.generations.current()
        return None if generation is None else pin_to(generation)

    def is_refreshing(self) -> bool:
        """Whether a refresh waits, or its barrier is not at its end."""
        return bool(self.turns) or active(self.records.database) is not None

    # -- what runs by itself -------------------------------------------------------------------------------------

    def settle(self, rounds: int = 3) -> None:
        """Let each manager run several times: enough for all to answer each other."""
        for _ in range(rounds):
            for name in ("workers", "dispatch", "grant", "move_devices", "refresh", "advance", "retire"):
                self.step(name)

    def step(self, name: str) -> None:
        self._hear()
        getattr(self, f"_{name}")()

    def _listen(self, bus: Bus) -> None:
        """Nobody is told of a change before somebody takes a step."""
        if self._stream is not None:
            self._stream.close()
        self._bus, self._stream = bus, self.records.database.watch(max_await_time_ms=50)

    def _hear(self) -> None:
        """Tell the managers all that changed until now; a change of our own is the last of it."""
        self._heard += 1
        mark = {"q": {"_id": "heard"}, "u": {"$set": {"at": self._heard}}, "upsert": True}
        self.records.database.command("update", "meta", updates=[mark])
        while not self._is_mark(event := self._stream.try_next()):
            if event is not None:
                self._bus._tell(event)

    def _is_mark(self, event: Any) -> bool:
        if event is None or event["ns"]["coll"] != "meta":
            return False
        change = event.get("updateDescription", {}).get("updatedFields", event.get("fullDocument", {}))
        return bool(change.get("at") == self._heard)

    def _workers(self) -> None:
        """Each version that has something to do gets a worker."""
        waiting = {"status": {"$in": [TaskStatus.READY, TaskStatus.INITIATED]}, "pin": {"$ne": None}}
        needed = set(self.records.tasks.distinct("pin.snapshot", waiting))
        if (current := self.current()) is not None:
            needed.add(current["snapshot"])
        for each in sorted(needed):
            self._ensure_worker(each)

    def _dispatch(self) -> None:
        self.tasks.reconcile()

    def _grant(self) -> None:
        self.resources.reconcile()

    def _move_devices(self) -> None:
        self.devices.reconcile()
        for group in list(self.devices._groups.values()):
            if group._woken.is_set():
                group._woken.clear()
                group.reconcile()

    def _advance(self) -> None:
        self.barrier.reconcile()

    def _retire(self) -> None:
        self.retirement.reconcile()

    def _refresh(self) -> None:
        for turn in list(self.turns):
            with suppress(NotCutOverError):  # a roll back whose barrier was undone
                turn.resume()
        self.turns = [turn for turn in self.turns if not turn.ended]

    # -- what people and workers do ------------------------------------------------------------------------------

    def begin(self, act: Callable[[Pipeline, Refresh, Callable[[], bool]], object], *, barrier: bool) -> None:
        """Begin a refresh or a roll back; those that were begun before are superseded by it."""
        refresh = Refresh("ada", "test", facts={"cutover": "barrier" if barrier else "rolling"})
        self._begun = mine = self._begun + 1
        self.turns.append(Turn(lambda: act(self.pipeline, refresh, lambda: self._begun > mine)))
        self.step("refresh")

    def claim(self, queue: str, task: str, attempt: int) -> bool:
        """What a worker does with a hint."""
        mine = {"_id": task, "status": TaskStatus.INITIATED, "attempt": attempt, "claim": None, "pin.snapshot": queue}
        claim = {"worker": queue, "token": f"{task} {attempt}", "at": now()}
        fields = {"status": TaskStatus.RUNNING, "claim": claim, "started_at": now()}
        return self.records.tasks.update_one(mine, {"$set": fields}).modified_count == 1

    def _ensure_worker(self, snapshot: str) -> None:
        fields = {"snapshot": snapshot, "queue": snapshot, "capacity": 100}
        self.records.workers.update_one({"_id": snapshot}, {"$set": fields}, upsert=True)

    def _end_worker(self, snapshot: str) -> bool:
        at_work = {"pin.snapshot": snapshot, "status": {"$in": list(CLAIMED)}}
        if self.records.tasks.find_one(at_work) is not None:
            return False
        self.records.workers.delete_one({"_id": snapshot})
        return True
