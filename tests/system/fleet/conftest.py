"""Fleets of real processes that end for certain, and leave nothing behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fleets import ENTRY, SECRET, THREAD, Freezer, StartFleet, ask, processes_below

from hotswap.fleet import Fleet, Limits, Started
from hotswap.store import Store


@pytest.fixture(scope="session")
def fleet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fleet")


@pytest.fixture(scope="session")
def store(fleet_folder: Path) -> Store:
    return Store(fleet_folder / "store")


@pytest.fixture(scope="session")
def shared_fleet(fleet_folder: Path, store: Store) -> Iterator[Fleet]:
    yield from _ended(Fleet(store, fleet_folder / "run", SECRET, limits=Limits(seconds=15)), fleet_folder)


@pytest.fixture
def fleet(shared_fleet: Fleet) -> Iterator[Fleet]:
    """A fleet in which nothing runs but its zygote; whatever a test leaves running is ended after it."""
    yield shared_fleet
    for each in shared_fleet.processes():
        if each["kind"] == "process":
            shared_fleet.stop(each["name"], grace=1)
    for each in shared_fleet.processes():
        if each["kind"] == "template":
            shared_fleet.release(each["snapshot"])


@pytest.fixture
def freeze(tmp_path: Path, store: Store) -> Freezer:
    return Freezer(store, tmp_path / "source")


@pytest.fixture(params=["forked", "spawned"])
def freeze_either(request: pytest.FixtureRequest, tmp_path: Path, store: Store) -> Freezer:
    """Freezes a package that can be forked, and then one that starts a thread at import and is spawned."""
    return Freezer(store, tmp_path / "source", THREAD if request.param == "spawned" else "")


@pytest.fixture(params=["forked", pytest.param("spawned", marks=pytest.mark.long)])
def freeze_either_at_length(request: pytest.FixtureRequest, tmp_path: Path, store: Store) -> Freezer:
    """As ``freeze_either``, for what a fleet does alike for both: spawned ones are for the long run."""
    return Freezer(store, tmp_path / "source", THREAD if request.param == "spawned" else "")


@pytest.fixture
def start_fleet(tmp_path: Path, store: Store) -> Iterator[StartFleet]:
    """Starts a fleet of this test alone, and again the next one; the last one ends everything."""
    fleets: list[Fleet] = []

    def start(**options: Any) -> Fleet:
        fleet = Fleet(store, tmp_path / "run", SECRET, **{"limits": Limits(seconds=15), **options})
        fleet.adopt()
        fleets.append(fleet)
        return fleet

    yield start
    for _ in _ended(fleets[-1], tmp_path):
        pass


def _ended(fleet: Fleet, folder: Path) -> Iterator[Fleet]:
    """The fleet, and after its use proof that nothing of it is left."""
    yield fleet
    fleet.close(end=True)
    assert [run.name for run in (folder / "run").glob("*.run.json")] == []
    _, left = psutil.wait_procs(processes_below(folder), timeout=10)
    assert left == []


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


@pytest.fixture
def work(gate: Path) -> Callable[[Fleet, str], Started]:
    """Have a process called ``one`` work until ``finish`` is called."""

    def _work(fleet: Fleet, snapshot: str) -> Started:
        started = fleet.ensure("one", snapshot, ENTRY, {"gate": str(gate)})
        ask(started, "work")
        return started

    return _work


@pytest.fixture
def finish(gate: Path) -> Callable[[], None]:
    return lambda: gate.write_text("done")
