"""Experiments that go on after a failure: with what remains, without a task, or by trying again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lab.managers.experiments import ExperimentManager
from lab.records import RequestStatus, TaskStatus
from lab.refusals import ConflictError, NotFoundError

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.system

NEW = "1" * 64
HEATING: dict[str, Any] = {"type": "Heating", "parameters": {"minutes": 1}}


@pytest.fixture(autouse=True)
def started(lab: Lab) -> None:
    lab.promote(NEW)
    lab.add_worker()
    lab.start()


def submit(lab: Lab, *tasks: tuple[list[str], list[int]], on_failure: str = "cancel") -> list[str]:
    """An experiment of (samples, tasks before it) with samples a and b; returns the tasks' ids."""
    document = {
        "name": "test",
        "samples": [{"name": "a"}, {"name": "b"}],
        "tasks": [{**HEATING, "samples": samples, "prev_tasks": previous} for samples, previous in tasks],
        "on_failure": on_failure,
    }
    experiment = lab.records.experiments.find_one({"_id": lab.new_backend.submit(document)})
    assert experiment is not None
    return experiment["tasks"]


def run(lab: Lab, task: str, status: TaskStatus = TaskStatus.COMPLETED) -> None:
    lab.becomes(task, TaskStatus.INITIATED)
    lab.claim(task)
    lab.end(task, status)


def experiment_of(lab: Lab, task: str) -> Any:
    return lab.records.experiments.find_one({"_id": lab.task(task)["experiment"]})


def names(lab: Lab, task: str) -> list[str]:
    found = {each["_id"]: each["name"] for each in lab.records.samples.find({})}
    return [found[each] for each in lab.task(task)["samples"]]


def test_an_experiment_continues_with_the_samples_that_remain(lab: Lab) -> None:
    first, second, both = submit(lab, (["a"], []), (["b"], []), (["a", "b"], [0, 1]), on_failure="continue")
    run(lab, first, TaskStatus.ERROR)
    run(lab, second)
    lab.becomes(both, TaskStatus.INITIATED)
    assert names(lab, both) == ["b"]
    run(lab, both)
    lab.until(lambda: experiment_of(lab, both)["status"] == "ERROR")


def test_a_sample_comes_back_when_what_failed_is_retried_in_time(lab: Lab) -> None:
    first, second, both = submit(lab, (["a"], []), (["b"], []), (["a", "b"], [0, 1]), on_failure="continue")
    lab.records.workers.update_many({}, {"$set": {"capacity": 2}})
    run(lab, first, TaskStatus.ERROR)
    lab.records.workers.update_many({}, {"$set": {"capacity": 1}})
    lab.becomes(second, TaskStatus.INITIATED)
    lab.claim(second)
    lab.records.workers.update_many({}, {"$set": {"capacity": 0}})
    lab.end(second)
    lab.becomes(both, TaskStatus.READY)
    lab.new_backend.commands.retry(first, "ann")
    lab.until(lambda: lab.task(both)["status"] == TaskStatus.WAITING)
    assert (names(lab, both), lab.task(both).get("note")) == (["a", "b"], None)


def test_a_failed_task_that_is_skipped_lets_those_after_it_go_on(lab: Lab) -> None:
    first, second = submit(lab, (["a"], []), (["a"], [0]))
    run(lab, first, TaskStatus.ERROR)
    lab.becomes(second, TaskStatus.CANCELLED)
    skipped = lab.new_backend.resumption.skip(first, "ann")
    assert (skipped["status"], skipped["note"]) == ("COMPLETED", "Skipped by ann.")
    run(lab, second)
    lab.until(lambda: experiment_of(lab, second)["status"] == "COMPLETED")
    event = lab.records.events.find_one({"kind": "task.skipped", "subject": first})
    assert event is not None
    assert event["facts"] == {"actor": "ann", "before": "ERROR"}


def test_a_waiting_task_is_skipped_when_its_turn_comes_and_not_before(lab: Lab) -> None:
    first, second, third = submit(lab, ([], []), ([], [0]), ([], [1]))
    lab.becomes(first, TaskStatus.INITIATED)
    lab.claim(first)
    assert lab.new_backend.resumption.skip(second, "ann")["status"] == TaskStatus.WAITING
    lab.end(first)
    assert lab.becomes(second, TaskStatus.COMPLETED)["note"] == "Skipped by ann."
    assert lab.task(second)["started_at"] is None
    run(lab, third)


def test_a_lost_task_that_is_skipped_is_revoked_and_gives_back_what_it_held(lab: Lab) -> None:
    lab.furnish()
    (task,) = submit(lab, ([], []))
    lab.becomes(task, TaskStatus.INITIATED)
    lab.claim(task)
    from .conftest import want

    request = lab.request(task, want("arm"))
    lab.until(lambda: lab.device("arm")["holder"] == task)
    lab.records.tasks.update_one({"_id": task}, {"$set": {"status": TaskStatus.LOST, "claim": None}})
    assert lab.new_backend.resumption.skip(task, "ann")["status"] == TaskStatus.COMPLETED
    assert lab.devices.revoked == ["arm"]
    lab.until(lambda: lab.device("arm")["holder"] is None)
    lab.reaches(request, RequestStatus.RELEASED)


def test_what_is_at_work_or_was_cancelled_for_another_is_not_skipped(lab: Lab) -> None:
    first, second = submit(lab, ([], []), ([], [0]))
    lab.becomes(first, TaskStatus.INITIATED)
    lab.claim(first)
    with pytest.raises(ConflictError, match="is RUNNING; cancel it first if it is to be skipped"):
        lab.new_backend.resumption.skip(first, "ann")
    lab.end(first, TaskStatus.ERROR)
    lab.becomes(second, TaskStatus.CANCELLED)
    with pytest.raises(ConflictError, match="was cancelled because one before it failed"):
        lab.new_backend.resumption.skip(second, "ann")
    with pytest.raises(NotFoundError):
        lab.new_backend.resumption.skip("nothing", "ann")


def test_a_resumed_experiment_retries_what_failed_and_what_waited_for_it(lab: Lab) -> None:
    good, bad, worse, last = submit(lab, ([], []), ([], []), ([], []), ([], [0, 1, 2]))
    run(lab, good)
    run(lab, bad, TaskStatus.ERROR)
    run(lab, worse, TaskStatus.ERROR)
    lab.until(lambda: experiment_of(lab, good)["status"] == "ERROR")
    experiment = lab.task(good)["experiment"]
    assert lab.new_backend.resumption.resume(experiment, "ann")["retried"] == sorted([bad, worse])
    run(lab, bad)
    run(lab, worse)
    run(lab, last)
    lab.until(lambda: experiment_of(lab, good)["status"] == "COMPLETED")
    assert lab.task(good)["attempt"] == 1
    with pytest.raises(ConflictError, match="has no failed task"):
        lab.new_backend.resumption.resume(experiment, "ann")
    with pytest.raises(NotFoundError):
        lab.new_backend.resumption.resume("nothing", "ann")


def test_a_skip_that_comes_at_the_last_moment_is_not_lost(lab: Lab) -> None:
    first, second = submit(lab, ([], []), ([], [0]))
    lab.stop()
    lab.records.tasks.update_one({"_id": first}, {"$set": {"status": TaskStatus.COMPLETED}})
    before = {each: lab.task(each) for each in (first, second)}
    lab.new_backend.resumption.skip(second, "ann")
    manager = ExperimentManager(lab.records, lab.ground.bus, lambda _: None)
    assert not manager._settle(before[second], before, "cancel")
    assert lab.task(second)["status"] == TaskStatus.WAITING
