"""Puts the managers process together from its settings."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from pymongo.database import Database

from hotswap.errors import HotswapError
from hotswap.fleet import FleetClient
from hotswap.process import DeathWatch, Identity
from hotswap.routing import make_broker, purge, queue_name, send
from hotswap.store import Store
from lab.alarms.channels import channels_of
from lab.archiving.archive import Archive
from lab.managers.alarms import AlarmManager
from lab.managers.archive import ArchiveManager
from lab.managers.barrier import BarrierManager
from lab.managers.collection import CollectionManager
from lab.managers.devices import DeviceManager
from lab.managers.environment import EnvironmentManager, drift_in
from lab.managers.epoch import Epoch
from lab.managers.examination import Examiner
from lab.managers.failures import FailureManager
from lab.managers.isolation import ENTRY as LONE_ENTRY
from lab.managers.isolation import LoneProcesses
from lab.managers.leases import LeaseManager
from lab.managers.links import DriverLinks
from lab.managers.refresh import (
    CodePolicy,
    EnvironmentPolicy,
    LabCode,
    LabParticipant,
    QueueGate,
    RefreshManager,
    RetirementManager,
)
from lab.managers.signals import SignalManager
from lab.managers.worker_processes import ENTRY, WorkerProcesses, ask_to_retire
from lab.records import Document
from lab.server.app import create_app
from lab.server.backend import Backend, Ground, Surroundings
from lab.server.guard import LOOPBACK_NAMES
from lab.server.settings import Settings
from lab.services.connection import client_for
from lab.settings.config import LabConfig

_WORKER_GRACE_SECONDS: Final = 1.0
_ARCHIVE_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class Assembly:
    """``backend`` and ``app``, not yet started; leaving the block closes what they use."""

    def __init__(self, settings: Settings, database: Database[Document]) -> None:
        self._closing = ExitStack()
        self._settings = settings
        self._ground = Ground(database)
        self._epoch = Epoch(self._ground.records)
        self._fleet = FleetClient(settings.fleet_address, settings.token)
        self._broker = make_broker(settings.broker_url)
        self._closing.callback(self._broker.close)
        self._workers = self._worker_processes()
        watch = DeathWatch()
        self._closing.callback(watch.close)
        devices = self._devices(watch)
        surroundings = self._surroundings(watch)
        retirement = RetirementManager(self._ground.records, self._ground.bus, self._workers.retire)
        store = self._store()
        collection = CollectionManager(self._ground.records, store, settings.config.snapshots)
        barrier = self._barrier(devices)
        refreshes = self._refreshes(store, barrier)
        environment = EnvironmentManager(self._ground.records, self._ground.bus, drift_in(store))
        alarms = self._alarms()
        signals = SignalManager(self._ground.records, settings.config.signals.keep_days)
        archive = self._archive(store, database)
        leases = LeaseManager(self._ground.records, settings.config.worker.unreachable_after)
        others = [leases, barrier, retirement, environment, self._failures(refreshes), alarms, signals, archive]
        self.backend = Backend(
            self._ground,
            surroundings,
            devices,
            refreshes,
            collection,
            store,
            others=others,
            environment=lambda: environment.changes,
            alarms=alarms,
            archive=archive,
        )
        self.app = create_app(
            self.backend,
            lab=settings.config.general.name,
            token=settings.token,
            auto_refresh=settings.config.general.auto_refresh,
            simulation=settings.config.simulation,
            hosts=None if settings.config.server.allow_remote else LOOPBACK_NAMES,
        )

    def on_superseded(self, end: Callable[[], None]) -> None:
        """Call ``end`` when another managers process has taken over; before the backend is started."""

        def check() -> None:
            if self._epoch.superseded():
                log.warning("Another managers process has taken over; this one ends.")
                end()

        self._ground.bus.subscribe("meta", check)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.__exit__(kind, error, trace)

    def _store(self) -> Store:
        """Only this laboratory knows what its work refers to, so only it collects."""
        config = self._settings.config
        store = Store(config.general.state_dir / "store")
        store.claim(f"the laboratory {config.general.name}", "lab collect")
        return store

    def _refreshes(self, store: Store, barrier: BarrierManager) -> RefreshManager:
        config = self._settings.config
        code = LabCode(config, store)
        ground = self._ground
        participant = LabParticipant(
            ground.records,
            ground.catalog,
            store,
            code,
            self._fleet,
            CodePolicy(config, code.repository()),
            EnvironmentPolicy(ground.records, drift_in(store)),
            self._workers.ensure,
            self._workers.retire,
            QueueGate(ground.records, Examiner(ground.records, self._fleet.ask), config.policy.queued),
        )
        return RefreshManager(config, ground.records, code, participant, barrier)

    def _devices(self, watch: DeathWatch) -> DeviceManager:
        ground, settings = self._ground, self._settings
        return DeviceManager(
            ground.records,
            ground.catalog,
            ground.bus,
            fleet=self._fleet,
            watch=watch,
            current=ground.current_pin,
            secret=settings.token,
            driver_arguments=settings.process_arguments(),
        )

    def _barrier(self, devices: DeviceManager) -> BarrierManager:
        timeout = self._settings.config.refresh.barrier_timeout
        return BarrierManager(self._ground.records, self._ground.bus, devices, timeout)

    def _failures(self, refreshes: RefreshManager) -> FailureManager:
        def roll_back(to: int, current: int) -> Document:
            return refreshes.roll_back(to, "lab", current=current)

        wanted = self._settings.config.refresh.on_failure == "rollback"
        ground = self._ground
        return FailureManager(ground.records, ground.catalog, ground.bus, roll_back if wanted else None)

    def _alarms(self) -> AlarmManager:
        config, ground = self._settings.config, self._ground
        channels = channels_of(config.alarms, simulation=config.general.simulation)
        return AlarmManager(
            ground.records, ground.bus, config.alarms, config.general.name, config.general.state_dir, channels
        )

    def _archive(self, store: Store, database: Database[Document]) -> ArchiveManager:
        config, ground = self._settings.config, self._ground
        target = database.client
        if config.archive.uri is not None:
            target = client_for(config.archive.uri, "[archive] uri", appname="archive", patience=_ARCHIVE_SECONDS)
            self._closing.callback(target.close)
        archive = Archive(ground.records, store, target[config.archive_database])
        return ArchiveManager(ground.records, ground.bus, archive, config.archive, config.retention)

    def _worker_processes(self) -> WorkerProcesses:
        settings = self._settings

        def purge_queue(snapshot: str) -> None:
            purge(self._broker, queue_name(settings.queue_prefix, snapshot))

        ask = ask_to_retire(settings.token)
        return WorkerProcesses(self._ground.records, self._fleet, settings.process_arguments(), ask, purge_queue)

    def _surroundings(self, watch: DeathWatch) -> Surroundings:
        broker = self._broker
        links = DriverLinks(self._settings.token)
        self._closing.callback(links.close)

        def hint(queue: str, task: str, attempt: int) -> None:
            send(broker, queue, "run_task", task, attempt)

        return Surroundings(
            send=hint,
            links=links,
            watch=watch,
            ensure_worker=self._workers.ensure,
            end_workers=self._end_workers,
            processes=self._processes,
            shutdown=lambda: end_supervisor(self._settings.config),
            lone=LoneProcesses(self._fleet, self._settings.process_arguments()),
            ask=self._fleet.ask,
            pin_experiments=self._settings.config.general.pin == "experiment",
            cancel_grace=self._settings.config.worker.cancel_grace,
            deadlock=self._settings.config.policy.deadlock,
        )

    def _end_workers(self) -> None:
        for process in self._processes():
            if process["entry"] in (ENTRY, LONE_ENTRY):
                self._fleet.stop(process["name"], _WORKER_GRACE_SECONDS)

    def _processes(self) -> list[Document]:
        try:
            return self._fleet.processes()
        except (OSError, HotswapError) as error:
            log.warning("The fleet does not answer: %s", error)
            return []


def end_supervisor(config: LabConfig) -> None:
    """Have the supervisor of this laboratory end it, with everything it started."""
    record = json.loads((config.general.state_dir / "run" / "supervisor.json").read_text())
    Identity.from_dict(record["identity"]).signal(signal.SIGTERM)
