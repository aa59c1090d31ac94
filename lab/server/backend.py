"""What the HTTP API stands on: the managers and the documents, behind a few names."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pymongo.database import Database

from hotswap.generations import Generations
from hotswap.process import DeathWatch
from hotswap.store import Store
from lab.catalog import Catalog, Definitions
from lab.experiments.submission import check
from lab.managers.abandonment import AbandonmentManager
from lab.managers.admission import Admission
from lab.managers.alarms import AlarmManager
from lab.managers.archive import ArchiveManager
from lab.managers.binding import ExperimentPins
from lab.managers.bus import Bus, Manager
from lab.managers.clean_up import CleanUpManager
from lab.managers.commands import Commands
from lab.managers.crashes import CrashManager
from lab.managers.environment import Changes
from lab.managers.examination import Ask, Examiner
from lab.managers.experiments import ExperimentManager
from lab.managers.grants import Links
from lab.managers.hand_moves import HandMoves
from lab.managers.isolation import LoneProcesses
from lab.managers.prompts import PromptManager
from lab.managers.reroutes import RerouteManager
from lab.managers.resources import DeadlockPolicy, ResourceManager
from lab.managers.resumption import Resumption
from lab.managers.tasks import Send, TaskManager
from lab.managers.templates import Templates
from lab.managers.unstarted import Unstarted
from lab.managers.workers import WorkerManager
from lab.prompts import Prompts
from lab.provenance import Provenance
from lab.records import Document, Pin, Records, pin_to
from lab.refusals import ConflictError
from lab.results.result_files import ResultFiles


class _Part(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...


class Devices(_Part, Protocol):
    """The device manager, as others use it."""

    def want(self, drivers: Mapping[str, str]) -> object: ...
    def revoke(self, device: str, request: str | None = None) -> object: ...
    def pause(self, device: str) -> object: ...
    def release(self, device: str) -> object: ...
    def emergency_stop(self, device: str) -> object: ...
    def shutdown(self) -> None: ...


class Refreshes(_Part, Protocol):
    """The refresh manager, as others use it."""

    def request(
        self, rev: str | None, actor: str, trigger: str, *, barrier: bool | None = None, wait: bool = True
    ) -> Document: ...
    def plan(self, rev: str | None) -> Document: ...
    def roll_back(self, generation: int, actor: str, *, barrier: bool | None = None, wait: bool = True) -> Document: ...
    def cancel(self, actor: str) -> Document: ...


class Collection(_Part, Protocol):
    """The collection manager, as others use it."""

    def collect(self, *, dry_run: bool = False) -> list[Document]: ...


class Ground:
    """What all managers of a process stand on."""

    def __init__(self, database: Database[Document]) -> None:
        self.records = Records(database)
        self.generations = Generations(database)
        self.catalog = Catalog(self.records)
        self.bus = Bus(database)

    def current_pin(self) -> Pin | None:
        """What a task dispatched now is bound to."""
        generation = self.generations.current()
        return None if generation is None else pin_to(generation)


@dataclass(frozen=True)
class Surroundings:
    """What the managers reach outside this process: broker, drivers, fleet."""

    send: Send
    links: Links
    watch: DeathWatch
    ensure_worker: Callable[[str], None]
    end_workers: Callable[[], None]
    processes: Callable[[], list[Document]]
    shutdown: Callable[[], None]
    lone: LoneProcesses
    ask: Ask | None = None
    pin_experiments: bool = False
    cancel_grace: float = 30.0
    deadlock: DeadlockPolicy = "tell"


class Backend:
    """All managers of one laboratory; those given have subscribed to ``bus`` already.

    ``environment`` tells what is installed otherwise than current code expects.
    """

    def __init__(
        self,
        ground: Ground,
        surroundings: Surroundings,
        devices: Devices,
        refreshes: Refreshes,
        collection: Collection,
        store: Store,
        others: Sequence[Manager] = (),
        environment: Callable[[], Changes] = tuple,
        alarms: AlarmManager | None = None,
        archive: ArchiveManager | None = None,
    ) -> None:
        self.records = records = ground.records
        self.generations = ground.generations
        self.devices = devices
        self.refreshes = refreshes
        self.collection = collection
        self.provenance = Provenance(records, ground.catalog, ground.generations, store)
        self.processes = surroundings.processes
        self.environment = environment
        self.alarms = alarms
        self.archive = archive
        self._catalog = catalog = ground.catalog
        self._bus = bus = ground.bus
        self._end_workers = surroundings.end_workers
        self._shutdown = surroundings.shutdown
        self._lone = surroundings.lone
        self._tasks = _task_manager(ground, surroundings)
        self.commands = Commands(records, catalog, devices.revoke, devices.emergency_stop, self._wake)
        self._managers: list[Manager] = [
            self._tasks,
            ExperimentManager(records, bus, self._tasks.look_at),
            *_for_workers(ground, surroundings, devices),
            *_for_resources(ground, surroundings, devices),
            *_for_people(ground, surroundings.watch, self.commands),
        ]
        self._parts: list[_Part] = [*self._managers, *others, collection, devices, refreshes]
        self.hand_moves = HandMoves(records, self._wake)
        self.prompts = Prompts(records)
        self.templates = Templates(self._definitions, surroundings.ask)
        self._admission = Admission(_examiner(ground, surroundings))
        self.resumption = Resumption(records, catalog, self.commands, self._wake)
        self.unstarted = Unstarted(records, catalog, _examiner(ground, surroundings), self.commands, self._wake)

    def start(self) -> None:
        """Start listening, then all managers: each begins with what the database says."""
        self.records.create_indexes()
        self.prompts.create_indexes()
        ResultFiles(self.records.database).create_indexes()
        self._bus.start()
        self._lone.sweep()
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        self._admission.close()
        for part in reversed(self._parts):
            part.stop()
        self._bus.stop()

    def submit(self, document: object) -> str:
        """Check an experiment and store it; returns its id. Raises SubmissionError with nothing stored."""
        definitions = self._definitions()
        submission = check(document, definitions)
        self._admission.admit(submission, definitions.snapshot)
        experiment = submission.store(self.records)
        self._tasks.look_at(task["_id"] for task in submission.tasks)
        self.records.log("experiment.submitted", experiment)
        return experiment

    def shut_down(self, *, force: bool) -> None:
        """Have the supervisor end everything. Raises ConflictError while tasks are at work, unless forced."""
        if not force:
            busy = self.records.tasks.count_documents({"claim": {"$ne": None}, "ended_at": None, "parent": None})
            if busy:
                tasks = "1 task is" if busy == 1 else f"{busy} tasks are"
                raise ConflictError(f"{tasks} at work; wait, or stop all the same with --force.")
        # Later than the answer to whoever asked for it.
        threading.Timer(0.1, self._end_everything).start()

    def _end_everything(self) -> None:
        """Work ends before the devices it uses, and nobody is left who would start it again."""
        try:
            for part in self._parts:
                if part is not self.devices:
                    part.stop()
            self._end_workers()
            self.devices.shutdown()
        finally:
            self._shutdown()

    def _definitions(self) -> Definitions:
        current = self.generations.current()
        if current is None:
            raise ConflictError("No code version is current yet; commit working code, or run `lab refresh`.")
        return self._catalog.get(current.snapshot)

    def _wake(self) -> None:
        for manager in self._managers:
            manager.reread()


def _examiner(ground: Ground, surroundings: Surroundings) -> Examiner | None:
    return None if surroundings.ask is None else Examiner(ground.records, surroundings.ask)


def _task_manager(ground: Ground, surroundings: Surroundings) -> TaskManager:
    return TaskManager(
        ground.records,
        ground.catalog,
        ground.bus,
        ground.current_pin,
        surroundings.send,
        _examiner(ground, surroundings),
        ExperimentPins(ground.records) if surroundings.pin_experiments else None,
        surroundings.lone.start,
    )


def _for_workers(ground: Ground, surroundings: Surroundings, devices: Devices) -> list[Manager]:
    records, catalog, bus, around = ground.records, ground.catalog, ground.bus, surroundings
    return [
        WorkerManager(records, catalog, bus, around.watch, ground.current_pin, around.ensure_worker),
        AbandonmentManager(records, catalog, bus, around.cancel_grace, devices.revoke, around.lone.kill),
    ]


def _for_resources(ground: Ground, surroundings: Surroundings, devices: Devices) -> list[Manager]:
    records, catalog, bus = ground.records, ground.catalog, ground.bus
    return [
        ResourceManager(records, catalog, bus, surroundings.links, devices.want, surroundings.deadlock),
        RerouteManager(records, catalog, bus, ground.current_pin),
    ]


def _for_people(ground: Ground, watch: DeathWatch, commands: Commands) -> list[Manager]:
    """The managers of what people are asked."""
    records, bus = ground.records, ground.bus
    crashes = CrashManager(records, ground.catalog, bus, commands)
    return [crashes, CleanUpManager(records, bus), PromptManager(records, bus, watch)]
