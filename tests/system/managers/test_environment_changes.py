"""Another environment is noticed, refused, and what cannot run in it is stranded until it is back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from hotswap.environment import EnvironmentChange
from hotswap.generations import Generations, SnapshotState
from hotswap.store import Store
from lab.managers.bus import Bus
from lab.managers.environment import Changes, EnvironmentManager, drift_in
from lab.managers.refresh import EnvironmentPolicy, PolicyError, RetirementManager
from lab.records import Records, TaskStatus, new_task

pytestmark = pytest.mark.system

OLD, NEW = "0" * 64, "1" * 64
UPGRADE = (EnvironmentChange("pydantic", "2.11", "2.12"),)


class Installed:
    """What differs from what each snapshot was frozen with."""

    def __init__(self) -> None:
        self.changes: dict[str, Changes] = {}

    def changed(self, snapshot: str) -> Changes:
        return self.changes.get(snapshot, ())


@pytest.fixture
def installed() -> Installed:
    return Installed()


@pytest.fixture
def records(database: Database[dict[str, Any]]) -> Records:
    return Records(database)


@pytest.fixture
def generations(records: Records) -> Generations:
    generations = Generations(records.database)
    for snapshot in (OLD, NEW):
        promote(generations, snapshot)
    return generations


@pytest.fixture
def manager(records: Records, generations: Generations, installed: Installed) -> EnvironmentManager:
    return EnvironmentManager(records, Bus(records.database), installed.changed)


@pytest.fixture
def policy(records: Records, generations: Generations, installed: Installed) -> EnvironmentPolicy:
    return EnvironmentPolicy(records, installed.changed)


def promote(generations: Generations, snapshot: str) -> None:
    current = generations.current()
    expected = current.number if current else None
    generations.promote(snapshot, expected=expected, commit=None, dirty=False, environment="", actor="a", reason="r")


def pinned(records: Records, status: TaskStatus = TaskStatus.LOST) -> str:
    task = new_task("Heating", {}, samples=[], experiment="e")
    task["status"] = status
    task["pin"] = {"snapshot": OLD, "generation": 1, "commit": None, "dirty": False, "environment": ""}
    records.tasks.insert_one(task)
    return task["_id"]


def events(records: Records, kind: str) -> list[Any]:
    return list(records.events.find({"kind": kind}))


@pytest.mark.parametrize("status", [TaskStatus.LOST, TaskStatus.READY, TaskStatus.INITIATED])
def test_pinned_work_is_stranded_with_an_event_that_names_it(
    manager: EnvironmentManager, records: Records, generations: Generations, installed: Installed, status: TaskStatus
) -> None:
    task = pinned(records, status)
    manager.reconcile()
    assert generations.states.state(OLD) is SnapshotState.DRAINING
    installed.changes[OLD] = UPGRADE
    manager.reconcile()
    manager.reconcile()
    assert generations.states.state(OLD) is SnapshotState.STRANDED
    facts = [event["facts"] for event in events(records, "snapshot.stranded")]
    assert facts == [{"tasks": [task], "environment": [["pydantic", "2.11", "2.12"]]}]


def test_the_pins_of_stranded_work_are_kept_and_it_goes_on_when_its_environment_is_back(
    manager: EnvironmentManager, records: Records, generations: Generations, installed: Installed
) -> None:
    task = pinned(records)
    installed.changes[OLD] = UPGRADE
    manager.reconcile()
    kept = records.tasks.find_one({"_id": task})
    assert kept is not None
    assert kept["pin"] is not None
    assert kept["pin"]["snapshot"] == OLD
    installed.changes.clear()
    manager.reconcile()
    assert generations.states.state(OLD) is SnapshotState.DRAINING
    assert len(events(records, "snapshot.freed")) == 1


def test_work_that_a_worker_still_takes_is_not_stranded(
    manager: EnvironmentManager, records: Records, generations: Generations, installed: Installed
) -> None:
    pinned(records, TaskStatus.RUNNING)
    records.database["workers"].insert_one({"_id": "w", "snapshot": OLD, "capacity": 4})
    installed.changes[OLD] = UPGRADE
    manager.reconcile()
    assert generations.states.state(OLD) is SnapshotState.DRAINING


def test_stranded_work_that_is_cancelled_lets_its_snapshot_go(
    manager: EnvironmentManager, records: Records, generations: Generations, installed: Installed
) -> None:
    task = pinned(records)
    installed.changes[OLD] = UPGRADE
    manager.reconcile()
    retirement = RetirementManager(records, Bus(records.database), lambda _: True)
    retirement.reconcile()
    assert generations.states.state(OLD) is SnapshotState.STRANDED
    records.tasks.update_one({"_id": task}, {"$set": {"status": TaskStatus.CANCELLED}})
    retirement.reconcile()
    assert generations.states.state(OLD) is SnapshotState.DRAINED


def test_a_change_under_current_code_is_told_once_and_so_is_its_end(
    manager: EnvironmentManager, records: Records, generations: Generations, installed: Installed
) -> None:
    installed.changes[NEW] = UPGRADE
    manager.reconcile()
    manager.reconcile()
    assert manager.changes == UPGRADE
    told = [(event["subject"], event["facts"]["changes"]) for event in events(records, "environment.changed")]
    assert told == [("2", [["pydantic", "2.11", "2.12"]])]
    installed.changes.clear()
    manager.reconcile()
    assert len(events(records, "environment.restored")) == 1
    assert generations.states.state(NEW) is SnapshotState.CURRENT


def test_no_code_goes_live_after_an_upgrade_in_place(policy: EnvironmentPolicy, installed: Installed) -> None:
    assert not policy.launch()
    policy.check()
    installed.changes[NEW] = UPGRADE
    with pytest.raises(PolicyError, match=r"generation 2 \(pydantic 2.11 -> 2.12\).*`lab stop` and `lab launch`"):
        policy.check()


def test_a_launch_takes_another_environment_up_once(
    policy: EnvironmentPolicy, generations: Generations, installed: Installed
) -> None:
    installed.changes[NEW] = UPGRADE
    assert policy.launch()
    policy.check()
    third = "2" * 64
    promote(generations, third)
    policy.check()
    installed.changes[third] = UPGRADE
    with pytest.raises(PolicyError, match="generation 3"):
        policy.check()


def test_there_is_no_way_back_to_code_of_another_environment(policy: EnvironmentPolicy, installed: Installed) -> None:
    policy.check_known(OLD)
    installed.changes[OLD] = UPGRADE
    with pytest.raises(PolicyError, match=r"pydantic 2.11 -> 2.12.*`lab refresh version:000000000000`"):
        policy.check_known(OLD)


def test_a_version_that_the_store_lacks_is_no_other_environment(tmp_path: Path) -> None:
    assert drift_in(Store(tmp_path / "store"))(OLD) == ()
