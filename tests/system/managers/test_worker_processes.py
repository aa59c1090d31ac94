"""A worker is ended only when it runs nothing, and makes way for a fresh one when it will take nothing more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from pymongo.database import Database

from hotswap.wire import Address
from lab.managers.worker_processes import WorkerProcesses, worker_name
from lab.records import Records

pytestmark = pytest.mark.system

SNAPSHOT = "0" * 64
NAME = worker_name(SNAPSHOT)


@dataclass
class Started:
    instance: str


@dataclass
class FakeFleet:
    """Each process it starts writes itself down, as workers do."""

    records: Records
    running: dict[str, Started] = field(default_factory=dict)
    done: list[tuple[str, str]] = field(default_factory=list)

    def ensure(self, name: str, snapshot: str, entry: str, arguments: dict[str, Any]) -> Started:
        if name not in self.running:
            self.running[name] = Started(f"instance {len(self.done)}")
            self.done.append(("start", name))
            facts = {"instance": self.running[name].instance, "capacity": 8, "address": ["127.0.0.1", 1]}
            self.records.database["workers"].insert_one({"_id": facts["instance"], "snapshot": snapshot, **facts})
        return self.running[name]

    def stop(self, name: str, grace: float, instance: str | None = None) -> None:
        assert instance == self.running[name].instance, "a process that was not asked is ended"
        self.records.workers.delete_one({"instance": self.running.pop(name).instance})
        self.done.append(("stop", name))

    def processes(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "instance": started.instance, "address": ["127.0.0.1", 1]}
            for name, started in self.running.items()
        ]

    def release(self, snapshot: str) -> None:
        self.done.append(("release", snapshot))


class FakeWorker:
    """What it answers when it is asked to retire."""

    def __init__(self) -> None:
        self.answer: bool | Exception = True

    def __call__(self, address: Address) -> bool:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def fleet(database: Database[dict[str, Any]]) -> FakeFleet:
    return FakeFleet(Records(database))


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def processes(fleet: FakeFleet, worker: FakeWorker) -> WorkerProcesses:
    made = WorkerProcesses(fleet.records, fleet, {}, worker, lambda snapshot: fleet.done.append(("purge", snapshot)))
    made.ensure(SNAPSHOT)
    fleet.done.clear()
    return made


@pytest.mark.parametrize("answer", [True, ConnectionRefusedError()])
def test_a_worker_that_runs_nothing_is_ended_with_what_it_needed(
    processes: WorkerProcesses, fleet: FakeFleet, worker: FakeWorker, answer: bool | Exception
) -> None:
    worker.answer = answer
    assert processes.retire(SNAPSHOT)
    assert fleet.done == [("stop", NAME), ("purge", SNAPSHOT), ("release", SNAPSHOT)]


@pytest.mark.parametrize("answer", [False, TimeoutError()])
def test_a_worker_that_runs_a_task_or_does_not_answer_goes_on(
    processes: WorkerProcesses, fleet: FakeFleet, worker: FakeWorker, answer: bool | Exception
) -> None:
    worker.answer = answer
    assert not processes.retire(SNAPSHOT)
    assert fleet.done == []


def test_a_worker_that_takes_tasks_is_kept(processes: WorkerProcesses, fleet: FakeFleet) -> None:
    processes.ensure(SNAPSHOT)
    assert fleet.done == []


def test_a_retired_worker_makes_way_for_a_fresh_one(processes: WorkerProcesses, fleet: FakeFleet) -> None:
    fleet.records.workers.update_one({}, {"$set": {"capacity": 0}})
    processes.ensure(SNAPSHOT)
    assert fleet.done == [("stop", NAME), ("start", NAME)]
    assert fleet.records.workers.count_documents({"capacity": 8}) == 1


def test_a_worker_that_the_fleet_started_meanwhile_is_asked_before_it_is_ended(
    processes: WorkerProcesses, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = fleet.stop

    def stop_and_succeed(name: str, grace: float, instance: str | None = None) -> None:
        stop(name, grace, instance)
        fleet.ensure(name, SNAPSHOT, "", {})

    with monkeypatch.context() as patch:
        patch.setattr(fleet, "stop", stop_and_succeed)
        assert not processes.retire(SNAPSHOT)
    assert fleet.done == [("stop", NAME), ("start", NAME)]
    assert processes.retire(SNAPSHOT)


def test_a_worker_that_is_not_on_record_is_asked_too(
    processes: WorkerProcesses, fleet: FakeFleet, worker: FakeWorker
) -> None:
    fleet.records.workers.delete_many({})
    worker.answer = False
    assert not processes.retire(SNAPSHOT)
    assert fleet.done == []
