"""Fleets of real processes that end for certain, and leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fleets import SECRET, THREAD, Freezer, StartFleet, processes_below

from hotswap.fleet import Fleet, Limits
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
