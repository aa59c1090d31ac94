"""``pin = "experiment"``: one code for all tasks of an experiment."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hotswap.generations import SnapshotState
from hotswap.store import Store
from lab.managers.binding import ExperimentPins
from lab.managers.collection import CollectionManager
from lab.records import TaskStatus, now
from lab.settings.config import Snapshots

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.system

OLD, NEW = "0" * 64, "1" * 64


@pytest.fixture
def bound(lab: Lab) -> list[str]:
    """An experiment of three tasks, one after the other; the first runs old code, and new code is current."""
    lab.new_backend._tasks._experiments = ExperimentPins(lab.records)
    lab.promote(OLD)
    tasks = lab.submit([], [0], [1])
    lab.add_worker(OLD)
    lab.add_worker(NEW)
    lab.start()
    lab.run()
    lab.promote(NEW)
    return tasks


def pins(lab: Lab, tasks: list[str]) -> list[str | None]:
    found = [lab.task(task)["pin"] for task in tasks]
    return [pin["snapshot"] if pin is not None else None for pin in found]


def test_later_tasks_run_the_code_of_the_first_one_though_other_code_is_current(lab: Lab, bound: list[str]) -> None:
    for task, following in pairwise(bound):
        lab.end(task)
        assert lab.becomes(following, TaskStatus.INITIATED)["pin"]["snapshot"] == OLD  # type: ignore[index]
        lab.run()
    (other,) = lab.submit([])
    assert lab.becomes(other, TaskStatus.INITIATED)["pin"]["snapshot"] == NEW  # type: ignore[index]


def test_the_code_of_an_experiment_drains_but_is_not_gone(lab: Lab, bound: list[str]) -> None:
    assert lab.ground.generations.states.state(OLD) is SnapshotState.DRAINING
    assert pins(lab, bound) == [OLD, OLD, OLD]


def test_moving_an_experiment_takes_the_unstarted_tasks_only(lab: Lab, bound: list[str]) -> None:
    commands = lab.new_backend.unstarted
    commands.move_experiment(lab.task(bound[0])["experiment"], "current", "ann")
    assert pins(lab, bound) == [OLD, NEW, NEW]
    lab.end(bound[0])
    assert lab.becomes(bound[1], TaskStatus.INITIATED)["pin"]["snapshot"] == NEW  # type: ignore[index]


def test_what_a_crash_left_unbound_follows_the_experiment_at_its_dispatch(lab: Lab, bound: list[str]) -> None:
    lab.records.tasks.update_many({"_id": {"$in": bound[1:]}}, {"$set": {"pin": None}})
    lab.end(bound[0])
    assert lab.becomes(bound[1], TaskStatus.INITIATED)["pin"]["snapshot"] == OLD  # type: ignore[index]
    assert pins(lab, bound) == [OLD, OLD, OLD]


def test_code_that_becomes_current_while_an_experiment_is_bound_is_what_it_is_bound_to(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promotion comes between the look at what is current and the dispatch; so for two tasks at once."""
    manager = lab.new_backend._tasks
    manager._experiments = ExperimentPins(lab.records)
    lab.promote(OLD)
    lab.add_worker(OLD)
    lab.add_worker(NEW)
    tasks = lab.submit([], [], [0])
    for task in tasks[:2]:
        lab.records.tasks.update_one({"_id": task}, {"$set": {"status": TaskStatus.READY, "ready_at": now()}})
    bind = manager._bind
    promotions = iter([NEW])

    def bind_late(*arguments: Any) -> None:
        if (snapshot := next(promotions, None)) is not None:
            lab.promote(snapshot)
        bind(*arguments)

    monkeypatch.setattr(manager, "_bind", bind_late)
    manager.reconcile()
    assert pins(lab, tasks) == [None, None, None]
    manager.look_at(tasks)
    manager.reconcile()
    assert pins(lab, tasks) == [NEW, NEW, NEW]
    assert [lab.task(task)["status"] for task in tasks[:2]] == [TaskStatus.INITIATED] * 2


def test_an_experiment_with_a_task_kept_on_old_code_runs_all_of_it_there(lab: Lab) -> None:
    lab.new_backend._tasks._experiments = ExperimentPins(lab.records)
    lab.promote(OLD)
    kept, other = lab.submit([], [])
    lab.promote(NEW)
    lab.new_backend.unstarted.move_task(kept, OLD, "ann")
    lab.add_worker(OLD)
    lab.add_worker(NEW)
    lab.start()
    assert lab.becomes(other, TaskStatus.INITIATED)["pin"]["snapshot"] == OLD  # type: ignore[index]


def test_the_code_of_an_experiment_that_runs_is_kept_by_collection(lab: Lab, bound: list[str], tmp_path: Path) -> None:
    lab.records.tasks.update_many({"_id": {"$in": bound}}, {"$set": {"pin": None}})
    collection = CollectionManager(lab.records, Store(tmp_path / "kept"), Snapshots(keep_generations=1))
    assert collection.references()[OLD] == "experiments that run are pinned to it"
