from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from resource_world import BEGIN, Collection

from lab.managers.changes import Changed
from lab.managers.ready import ReadyTasks


def ready_tasks() -> tuple[ReadyTasks, dict[str, Any]]:
    """What is READY by the documents, and the documents of the tasks."""
    tasks: dict[str, Any] = {}
    experiments = {"e": {"_id": "e", "status": "RUNNING"}}
    return ReadyTasks(SimpleNamespace(tasks=Collection(tasks), experiments=Collection(experiments))), tasks  # type: ignore[arg-type]


def task(name: str, minutes: int, priority: int = 20) -> dict[str, Any]:
    ready_at = BEGIN + timedelta(minutes=minutes)
    fields = {"status": "READY", "experiment": "e", "parent": None, "pin": None}
    return {"_id": name, "priority": priority, "ready_at": ready_at, **fields}


def hear(ready: ReadyTasks, tasks: dict[str, Any], *news: dict[str, Any]) -> list[str]:
    """The tasks in their order, once these are heard of at the same time."""
    tasks.update({each["_id"]: each for each in news})
    ready.read(Changed(ids={"tasks": frozenset(each["_id"] for each in news)}))
    return [each["_id"] for each in ready.in_order()]


def test_the_urgent_come_first_then_the_old() -> None:
    assert hear(*ready_tasks(), task("late", 2), task("old", 1), task("urgent", 3, 30)) == ["urgent", "old", "late"]


def test_one_from_before_the_clock_was_set_back_is_not_passed_over() -> None:
    ready, tasks = ready_tasks()
    hear(ready, tasks, task("first", 60))
    assert hear(ready, tasks, task("second", 0)) == ["first", "second"]


def test_one_that_is_put_back_keeps_its_place() -> None:
    ready, tasks = ready_tasks()
    first, second = task("first", 1), task("second", 2)
    hear(ready, tasks, first)
    hear(ready, tasks, second)
    ready.sent(first, {"snapshot": "s"})  # type: ignore[typeddict-item]
    assert hear(ready, tasks, second) == ["second"]
    ready.put_back(first)
    assert [each["_id"] for each in ready.in_order()] == ["first", "second"]


def test_one_that_is_to_run_again_comes_last() -> None:
    ready, tasks = ready_tasks()
    hear(ready, tasks, task("first", 1))
    hear(ready, tasks, task("second", 2))
    assert hear(ready, tasks, {**task("first", 1), "status": "ERROR"}) == ["second"]
    assert hear(ready, tasks, task("first", 3)) == ["second", "first"]
