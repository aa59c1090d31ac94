"""What the HTTP API stands on: the managers and the documents, behind a few names."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hotswap.generations import Generation, Generations
from hotswap.process import DeathWatch
from lab.catalog import Catalog, Definitions
from lab.managers.bus import Bus, Manager
from lab.managers.commands import Commands
from lab.managers.experiments import ExperimentManager
from lab.managers.grants import Links
from lab.managers.resources import ResourceManager
from lab.managers.tasks import Send, TaskManager
from lab.managers.workers import WorkerManager
from lab.records import Document, Pin, Records
from lab.refusals import ConflictError
from lab.submission import check


class _Part(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...


class Devices(_Part, Protocol):
    """The device manager, as others use it."""

    def rebind_wanted(self, device: str, snapshot: str) -> object: ...
    def revoke(self, device: str) -> object: ...
    def pause(self, device: str) -> object: ...
    def release(self, device: str) -> object: ...
    def emergency_stop(self, device: str) -> object: ...


class Refreshes(_Part, Protocol):
    """The refresh manager, as others use it."""

    def request(self, rev: str | None, actor: str, trigger: str) -> Document: ...
    def plan(self, rev: str | None) -> Document: ...
    def roll_back(self, generation: int, actor: str) -> Document: ...


@dataclass(frozen=True)
class Surroundings:
    """What the managers reach outside this process: broker, drivers, fleet."""

    send: Send
    links: Links
    watch: DeathWatch
    ensure_worker: Callable[[str], None]
    processes: Callable[[], list[Document]]
    shutdown: Callable[[], None]


class Backend:
    """All managers of one laboratory; ``make_devices`` and ``make_refreshes`` may subscribe to the bus they get."""

    def __init__(
        self,
        records: Records,
        surroundings: Surroundings,
        make_devices: Callable[[Bus], Devices],
        make_refreshes: Callable[[Bus], Refreshes],
    ) -> None:
        self.records = records
        self.generations = Generations(records.database)
        self.catalog = Catalog(records)
        self.bus = Bus(records.database)
        self.devices = make_devices(self.bus)
        self.refreshes = make_refreshes(self.bus)
        self.processes = surroundings.processes
        self._shutdown = surroundings.shutdown
        self._tasks = TaskManager(records, self.catalog, self.bus, self.current_pin, surroundings.send)
        self._managers: list[Manager] = [
            self._tasks,
            ExperimentManager(records, self.bus, self._tasks.wake),
            WorkerManager(records, self.bus, surroundings.watch, self.current_pin, surroundings.ensure_worker),
            ResourceManager(records, self.catalog, self.bus, surroundings.links, self.devices.rebind_wanted),
        ]
        self._parts: list[_Part] = [*self._managers, self.devices, self.refreshes]
        self.commands = Commands(records, self.devices.revoke, self._wake)

    def start(self) -> None:
        """Start listening, then all managers: each begins with what the database says."""
        self.records.create_indexes()
        self.bus.start()
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        for part in reversed(self._parts):
            part.stop()
        self.bus.stop()

    def current_pin(self) -> Pin | None:
        """What a task dispatched now is bound to."""
        generation = self.generations.current()
        return None if generation is None else pin_to(generation)

    def submit(self, document: object) -> str:
        """Check an experiment and store it; returns its id. Raises SubmissionError with nothing stored."""
        experiment = check(document, self._definitions()).store(self.records)
        self._tasks.wake()
        self.records.log("experiment.submitted", experiment)
        return experiment

    def shut_down(self, *, force: bool) -> None:
        """Have the supervisor end everything. Raises ConflictError while tasks are at work, unless forced."""
        if not force:
            busy = self.records.tasks.count_documents({"claim": {"$ne": None}, "ended_at": None, "parent": None})
            if busy:
                raise ConflictError(f"{busy} tasks are at work; wait for them, or stop all the same with --force.")
        # Later than the answer to whoever asked for it.
        threading.Timer(0.1, self._shutdown).start()

    def _definitions(self) -> Definitions:
        current = self.generations.current()
        if current is None:
            raise ConflictError("No code version is current yet; commit working code, or run `lab refresh`.")
        return self.catalog.get(current.snapshot)

    def _wake(self) -> None:
        for manager in self._managers:
            manager.wake()


def pin_to(generation: Generation) -> Pin:
    return Pin(
        snapshot=generation.snapshot,
        generation=generation.number,
        commit=generation.commit,
        dirty=generation.dirty,
        environment=generation.environment,
    )
