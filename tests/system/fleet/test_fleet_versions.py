"""After very many changes of version all is as it was: no zombie, descriptor, thread, process or file too many."""

from __future__ import annotations

import threading
import time
from dataclasses import astuple, dataclass
from pathlib import Path

import psutil
import pytest
from fleets import ENTRY, THREAD, Freeze, Freezer, StartFleet, ask, parents, processes_below

from hotswap.fleet import Fleet
from hotswap.process.runs import KEPT
from hotswap.store import Store

pytestmark = pytest.mark.system


@dataclass(frozen=True)
class Footprint:
    """What the owner of a fleet and its zygote have open, and what there is of processes and records."""

    descriptors: int
    zygote_descriptors: int
    threads: int
    processes: int
    zombies: int
    records: int

    def is_within(self, earlier: Footprint) -> bool:
        """Whether nothing has grown; what tests before this one left to this process may well be gone meanwhile."""
        return all(now <= then for now, then in zip(astuple(self), astuple(earlier), strict=True))


def _footprint(fleet: Fleet, folder: Path) -> Footprint:
    (zygote,) = parents(fleet)
    children = psutil.Process(zygote.pid).children(recursive=True) + psutil.Process().children()
    return Footprint(
        descriptors=psutil.Process().num_fds(),
        zygote_descriptors=psutil.Process(zygote.pid).num_fds(),
        threads=threading.active_count(),
        processes=len(processes_below(folder)),
        zombies=sum(map(_is_zombie, children)),
        records=len(list((folder / "run").glob("*.run.json"))),
    )


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it has been waited for meanwhile
        return False


def _change(fleet: Fleet, number: int, snapshot: str, version: int) -> None:
    """A worker of another version starts and works; then it and its template end."""
    started = fleet.ensure(f"worker-{number}", snapshot, ENTRY, {})
    assert ask(started, "version") == version
    fleet.stop(started.name, grace=10)
    fleet.release(snapshot)


def _settled(fleet: Fleet, folder: Path, earlier: Footprint) -> Footprint:
    """The footprint once it is within the earlier one; the last one that was not if that takes too long."""
    deadline = time.monotonic() + 20
    while not (now := _footprint(fleet, folder)).is_within(earlier) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    return now


@pytest.mark.parametrize("changes", [20, pytest.param(1_000, marks=[pytest.mark.long, pytest.mark.timeout(1_800)])])
def test_many_changes_of_version_leave_nothing_behind(
    start_fleet: StartFleet, freeze: Freeze, tmp_path: Path, changes: int
) -> None:
    fleet = start_fleet()
    snapshots = [freeze(0), freeze(1)]
    for number in (0, 1):
        _change(fleet, number, snapshots[number], number)
    before = _footprint(fleet, tmp_path)
    for number in range(2, changes):
        _change(fleet, number, snapshots[number % 2], number % 2)
    after = _settled(fleet, tmp_path, before)
    assert after.is_within(before), f"{before} became {after}"
    assert before.records == 1


@pytest.mark.long
def test_many_changes_of_versions_that_are_spawned_leave_nothing_behind(
    start_fleet: StartFleet, store: Store, tmp_path: Path
) -> None:
    spawned = Freezer(store, tmp_path / "source", THREAD)
    fleet, snapshot = start_fleet(), spawned(0)
    _change(fleet, 0, snapshot, 0)
    before = _footprint(fleet, tmp_path)
    for number in range(1, 100):
        _change(fleet, number, snapshot, 0)
    after = _settled(fleet, tmp_path, before)
    assert after.is_within(before), f"{before} became {after}"


@pytest.mark.long
def test_crashes_leave_nothing_behind(start_fleet: StartFleet, freeze: Freeze, tmp_path: Path) -> None:
    fleet, snapshot = start_fleet(), freeze(0)
    _change(fleet, 0, snapshot, 0)
    before = _footprint(fleet, tmp_path)
    for number in range(100):
        started = fleet.ensure("one", snapshot, ENTRY, {})
        started.identity.kill()
        assert started.identity.wait(10)
        fleet.stop("one", grace=10)
        if number % 10 == 0:
            fleet.release(snapshot)
    fleet.release(snapshot)
    after = _settled(fleet, tmp_path, before)
    assert after.is_within(before), f"{before} became {after}"


def test_logs_of_very_many_processes_do_not_pile_up(fleet_folder: Path, fleet: Fleet, freeze: Freeze) -> None:
    run_dir = fleet_folder / "run"
    for number in range(KEPT + 50):
        (run_dir / f"old-{number}.log").write_text("long ago")
        (run_dir / f"old-{number}.exit.json").write_text("{}")
    fleet.ensure("one", freeze(1), ENTRY, {})
    fleet.stop("one", grace=10)
    kept = {path.name for path in run_dir.glob("*.log")}
    assert len([name for name in kept if name.startswith("old-")]) <= KEPT
    assert "one.log" in kept
    assert len(list(run_dir.glob("old-*.exit.json"))) == len(list(run_dir.glob("old-*.log")))
