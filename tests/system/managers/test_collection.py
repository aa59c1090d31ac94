"""Which code a laboratory keeps, with a real store and a real database."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from hotswap.environment import Environment
from hotswap.generations import Generations, SnapshotState
from hotswap.source import TreeSource
from hotswap.store import Store
from lab.managers.collection import CollectionManager
from lab.records import Records, TaskStatus, new_task, now
from lab.settings.config import Snapshots

pytestmark = pytest.mark.system

MONTHS_AGO = time.time() - 100 * 86_400
Collect = Callable[..., dict[str, str]]


@pytest.fixture
def records(database: Database[dict[str, Any]]) -> Records:
    return Records(database)


@pytest.fixture
def versions(tmp_path: Path) -> list[str]:
    """Ids of five snapshots, the newest last; all old, and handed out long ago."""
    store = Store(tmp_path / "store")
    package = tmp_path / "my_lab"
    package.mkdir()
    ids = []
    for number in range(5):
        (package / "__init__.py").write_text(f"VERSION = {number}\n")
        moment = now() - timedelta(days=100 - number)
        ids.append(store.ensure(TreeSource(package), Environment("cp311"), frozen_at=moment).snapshot.id)
    for manifest in (tmp_path / "store" / "manifests").iterdir():
        os.utime(manifest, (MONTHS_AGO, MONTHS_AGO))
    return ids


@pytest.fixture
def collect(records: Records, tmp_path: Path) -> Collect:
    """What is kept, by id, with the reason."""

    def collect(settings: Snapshots | None = None, **options: bool) -> dict[str, str]:
        settings = settings or Snapshots(keep_generations=1)
        decisions = CollectionManager(records, Store(tmp_path / "store"), settings).collect(**options)
        return {each["snapshot"]: each["reason"] for each in decisions if each["keep"]}

    return collect


def promote(records: Records, snapshot: str) -> None:
    generations = Generations(records.database)
    current = generations.current()
    generations.promote(
        snapshot,
        expected=current.number if current else None,
        commit=None,
        dirty=False,
        environment="",
        actor="test",
        reason="test",
    )


def add_task(records: Records, snapshot: str, status: TaskStatus, days_ago: int) -> None:
    task = new_task("Heating", {}, samples=[], experiment="e")
    task["status"] = status
    task["pin"] = {"snapshot": snapshot, "generation": 1, "commit": None, "dirty": False, "environment": ""}
    task["ended_at"] = now() - timedelta(days=days_ago)
    records.tasks.insert_one(task)


def test_the_current_and_the_newest_code_stay(records: Records, versions: list[str], collect: Collect) -> None:
    promote(records, versions[1])
    assert collect() == {versions[1]: "it is current", versions[4]: "among the 1 newest of my_lab"}
    assert collect() == {versions[1]: "it is current", versions[4]: "among the 1 newest of my_lab"}


def test_a_dry_run_changes_nothing(versions: list[str], collect: Collect, tmp_path: Path) -> None:
    collect(dry_run=True)
    assert len(Store(tmp_path / "store").list()) == len(versions)


def test_code_that_can_be_rolled_back_to_stays(records: Records, versions: list[str], collect: Collect) -> None:
    for snapshot in versions[:4]:
        promote(records, snapshot)
    for snapshot in versions[:3]:
        assert Generations(records.database).states.move(snapshot, {SnapshotState.DRAINING}, SnapshotState.DRAINED)
    kept = collect(Snapshots(keep_generations=2))
    assert kept[versions[2]] == "generation 3 can be rolled back to"
    assert versions[1] not in kept


def test_code_that_a_task_ran_stays(records: Records, versions: list[str], collect: Collect) -> None:
    add_task(records, versions[0], TaskStatus.COMPLETED, days_ago=1000)
    assert collect()[versions[0]] == "tasks ran it"


def test_code_that_tasks_ran_goes_after_the_days_that_were_asked_for(
    records: Records, versions: list[str], collect: Collect
) -> None:
    add_task(records, versions[0], TaskStatus.COMPLETED, days_ago=31)
    add_task(records, versions[1], TaskStatus.COMPLETED, days_ago=29)
    kept = collect(Snapshots(keep_generations=1, keep_days=30))
    assert (versions[0] in kept, versions[1] in kept) == (False, True)


@pytest.mark.parametrize("status", [TaskStatus.READY, TaskStatus.INITIATED, TaskStatus.RUNNING, TaskStatus.LOST])
def test_code_of_unfinished_work_stays_however_old(
    records: Records, versions: list[str], collect: Collect, status: TaskStatus
) -> None:
    add_task(records, versions[0], status, days_ago=1000)
    assert collect(Snapshots(keep_generations=1, keep_days=1))[versions[0]] == "unfinished tasks are pinned to it"


def test_code_that_a_device_is_bound_to_stays(records: Records, versions: list[str], collect: Collect) -> None:
    records.database["devices"].insert_one({"_id": "furnace", "binding": {"snapshot": versions[0]}})
    assert collect()[versions[0]] == "furnace is bound to it"


def test_what_was_collected_is_told(records: Records, versions: list[str], collect: Collect) -> None:
    collect()
    told = list(records.events.find({"kind": "version.collected"}))
    assert {each["subject"] for each in told} == set(versions[:4])
    assert all("nothing refers to it" in each["facts"]["reason"] for each in told)
