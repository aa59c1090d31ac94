"""What a plan tells of devices that are in use, of queued tasks, and of what comes and goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from hotswap.environment import Distribution, Environment
from hotswap.snapshot import FileEntry, Origin, Snapshot
from lab.catalog import Definitions
from lab.managers.refresh._plan import make_plan, outline, unfit
from lab.records import Records, TaskStatus, ended_attempt, new_task, now

pytestmark = pytest.mark.system

PIN: Any = {"snapshot": "0" * 64, "generation": 1, "commit": None, "dirty": False, "environment": ""}
SCHEMA = {"type": "object", "properties": {"minutes": {"type": "integer"}}, "required": ["minutes"]}


@pytest.fixture
def records(database: Database[dict[str, Any]]) -> Records:
    return Records(database)


def version(drivers: dict[str, str], code: dict[str, str], positions: int = 1, library: str = "1.0") -> Any:
    """A snapshot and what it defines: each device has one slot, and so many places stand on a table."""
    entry = FileEntry("app/__init__.py", 0o644, 1, (drivers.get("furnace", "") + library).encode().hex().ljust(64, "0"))
    environment = Environment("cp311", (Distribution("library", library),))
    snapshot = Snapshot.of("app", (entry,), environment, Origin(commit=None, dirty=False))
    slots = [{"name": "slot", "number": 1, "description": ""}]
    devices = {name: {"class": f"app:{name}", "group": name, "positions": slots} for name in drivers}
    tasks = {name: {"class": f"app:{name}", "schema": SCHEMA} for name in code}
    table = [{"name": "table", "number": positions, "description": ""}]
    return snapshot, Definitions(snapshot.id, "app", devices, tasks, table, drivers=drivers, code=code)


OLD = version({"furnace": "d1", "arm": "a1", "old": "o1"}, {"Heating": "h1", "Weighing": "w1", "Gone": "g1"}, 2)
NEW = version({"furnace": "d2", "arm": "a1", "new": "n1"}, {"Heating": "h2", "Weighing": "w1", "Milling": "m1"}, 1)


def work(records: Records, kind: str, status: TaskStatus, **fields: Any) -> str:
    task: Any = new_task(kind, fields.pop("parameters", {"minutes": 1}), samples=[], experiment="e")
    records.tasks.insert_one({**task, "status": status, **fields})
    return str(task["_id"])


def hold(records: Records, status: TaskStatus = TaskStatus.RUNNING, **fields: Any) -> tuple[str, datetime]:
    """A task that has the furnace with a sample in it, and when it began."""
    began = now().replace(microsecond=0) - timedelta(minutes=5)
    task = work(records, "Heating", status, pin=PIN, started_at=began, **fields)
    records.database["devices"].insert_one({"_id": "furnace", "state": "granted", "holder": task, "paused": False})
    place: Any = {"_id": "furnace/slot/1", "device": "furnace", "prefix": "slot", "holder": task, "request": None}
    records.positions.insert_one(place)
    records.database["samples"].insert_one({"_id": "s1", "name": "quartz", "position": "furnace/slot/1"})
    return task, began


def completed(records: Records, minutes: int, outcome: str = "COMPLETED", kind: str = "Heating") -> None:
    attempt: Any = ended_attempt(1, PIN, "w", now() - timedelta(minutes=minutes), outcome)
    work(records, kind, TaskStatus(outcome), attempts=[attempt], ended_at=now())


def test_a_plan_says_who_has_a_device_since_when_and_with_which_sample(records: Records) -> None:
    task, began = hold(records)
    (told,) = make_plan(records, OLD, NEW, [])["drain_set"]
    assert (told["device"], told["holder"], told["task"]) == ("furnace", task, "Heating")
    assert told["since"].replace(tzinfo=UTC) == began
    assert told["samples"] == [{"id": "s1", "name": "quartz", "position": "furnace/slot/1"}]


def test_until_when_a_task_holds_a_device_is_told_from_what_completed_before(records: Records) -> None:
    _, began = hold(records)
    for minutes in (10, 60, 20):
        completed(records, minutes)
    completed(records, 500, outcome="ERROR")
    completed(records, 700, kind="Weighing")
    (told,) = make_plan(records, OLD, NEW, [])["drain_set"]
    until = told["expected_until"].replace(tzinfo=UTC)
    assert abs(until - (began + timedelta(minutes=20))) < timedelta(seconds=5)
    assert told["estimated_from"] == 3


@pytest.mark.parametrize("status", [TaskStatus.RUNNING, TaskStatus.LOST])
def test_until_when_is_not_known_without_an_earlier_task_or_with_a_lost_one(
    records: Records, status: TaskStatus
) -> None:
    hold(records, status)
    if status is TaskStatus.LOST:
        completed(records, 10)
    (told,) = make_plan(records, OLD, NEW, [])["drain_set"]
    assert (told["expected_until"], told["status"]) == (None, status)


def test_a_plan_names_what_comes_and_what_goes(records: Records) -> None:
    plan = make_plan(records, OLD, NEW, [])
    assert plan["devices"] == {"added": ["new"], "removed": ["old"], "changed": ["furnace"]}
    assert plan["tasks"] == {"added": ["Milling"], "removed": ["Gone"], "changed": ["Heating"]}
    assert plan["positions"]["removed"] == ["old/slot/1", "table/2"]
    assert plan["positions"]["added"] == ["new/slot/1"]


def test_queued_tasks_of_changed_types_are_named_and_those_that_do_not_fit_with_the_reason(records: Records) -> None:
    changed = work(records, "Heating", TaskStatus.READY)
    work(records, "Weighing", TaskStatus.READY)
    work(records, "Heating", TaskStatus.READY, pin=PIN)
    wrong = work(records, "Heating", TaskStatus.WAITING, parameters={"minutes": "many"})
    gone = work(records, "Gone", TaskStatus.READY)
    plan = make_plan(records, OLD, NEW, [])
    assert {each["task"] for each in plan["affected"]} == {changed, wrong}
    assert {each["task"] for each in unfit(records, NEW[1])} == {wrong, gone}


def test_a_changed_environment_is_told_package_by_package() -> None:
    upgraded = version({"furnace": "d1"}, {}, library="2.0")
    assert outline(OLD[0], upgraded[0])["files"]["environment"] == [["library", "1.0", "2.0"]]


def test_the_first_code_adds_everything(records: Records) -> None:
    plan = make_plan(records, None, NEW, [])
    assert plan["files"] is None
    assert plan["devices"]["added"] == ["arm", "furnace", "new"]
    assert plan["drain_set"] == []
