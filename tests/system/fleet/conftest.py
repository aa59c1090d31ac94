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


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def freeze(tmp_path: Path, store: Store) -> Freezer:
    return Freezer(store, tmp_path / "source")


@pytest.fixture(params=["forked", "spawned"])
def freeze_either(request: pytest.FixtureRequest, tmp_path: Path, store: Store) -> Freezer:
    """Freezes a package that can be forked, and then one that starts a thread at import and is spawned."""
    return Freezer(store, tmp_path / "source", THREAD if request.param == "spawned" else "")


@pytest.fixture
def start_fleet(tmp_path: Path, store: Store) -> Iterator[StartFleet]:
    """Starts the fleet of this test, and again the next one; the last one ends everything."""
    fleets: list[Fleet] = []

    def start(**options: Any) -> Fleet:
        fleet = Fleet(store, tmp_path / "run", SECRET, **{"limits": Limits(seconds=15), **options})
        fleet.adopt()
        fleets.append(fleet)
        return fleet

    yield start
    if fleets:
        fleets[-1].close(end=True)
    assert [run.name for run in (tmp_path / "run").glob("*.run.json")] == []
    _, left = psutil.wait_procs(processes_below(tmp_path), timeout=10)
    assert left == []


@pytest.fixture
def fleet(start_fleet: StartFleet) -> Fleet:
    return start_fleet()


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
