"""Experiments, dispatch, workers, cancel and retry on a real database."""

from __future__ import annotations

import queue
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from lab.managers.bus import Bus
from lab.managers.epoch import Epoch
from lab.managers.experiments import ExperimentManager, sweep_leftovers
from lab.managers.tasks import TaskManager
from lab.records import ExperimentStatus, Pin, TaskStatus, new_id, new_task, now
from lab.refusals import ConflictError, NotFoundError, SubmissionError
from lab.server import views

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.system

OLD, NEW = "0" * 64, "1" * 64
STRICTER = {"type": "object", "required": ["minutes", "ramp"], "additionalProperties": False}


@pytest.fixture
def started(lab: Lab) -> Lab:
    """A laboratory with current code and one worker."""
    lab.promote(NEW)
    lab.add_worker()
    lab.start()
    return lab


def experiment_of(lab: Lab, task_id: str) -> dict[str, Any]:
    found = lab.records.experiments.find_one({"_id": lab.task(task_id)["experiment"]})
    assert found is not None
    return dict(found)


def test_a_submitted_task_is_pinned_and_sent(started: Lab) -> None:
    (task_id,) = started.submit([])
    assert started.sent.get(timeout=20) == ("queue-1", task_id, 1)
    task = started.task(task_id)
    assert (task["status"], task["attempt"]) == (TaskStatus.INITIATED, 1)
    assert task["pin"] is not None
    assert (task["pin"]["snapshot"], task["pin"]["generation"]) == (NEW, 1)


def test_a_task_waits_for_those_before_it(started: Lab) -> None:
    first, second = started.submit([], [0])
    assert started.run() == first
    assert started.task(second)["status"] == TaskStatus.WAITING
    started.end(first)
    assert started.run() == second
    started.end(second)
    started.until(lambda: experiment_of(started, first)["status"] == ExperimentStatus.COMPLETED)


def test_what_comes_after_a_failure_is_cancelled_with_the_reason(started: Lab) -> None:
    first, second, third, other = started.submit([], [0], [1], [])
    assert {started.run(), started.run()} == {first, other}
    started.end(first, TaskStatus.ERROR)
    cancelled = started.becomes(third, TaskStatus.CANCELLED)
    assert second in (cancelled["reason"] or "")
    assert experiment_of(started, first)["status"] == ExperimentStatus.RUNNING
    started.end(other)
    started.until(lambda: experiment_of(started, first)["status"] == ExperimentStatus.ERROR)


def test_tasks_are_sent_into_free_capacity_only(lab: Lab) -> None:
    lab.promote(NEW)
    lab.add_worker(capacity=1)
    lab.start()
    first, second = lab.submit([], [])
    assert lab.run() == first
    assert lab.task(second)["status"] == TaskStatus.READY
    lab.end(first)
    assert lab.run() == second


def test_the_urgent_go_first(lab: Lab) -> None:
    lab.promote(NEW)
    lab.add_worker(capacity=1)
    low, high = lab.submit([], [])
    lab.records.tasks.update_one({"_id": high}, {"$set": {"priority": 100}})
    lab.start()
    assert lab.run() == high
    assert lab.task(low)["status"] == TaskStatus.READY


def test_a_generation_that_moves_during_dispatch_is_noticed(lab: Lab) -> None:
    lab.promote(NEW)
    lab.ground.catalog.put(lab.ground.catalog.get(NEW))
    lab.add_worker(OLD)
    lab.add_worker(NEW)
    (task_id,) = lab.submit([])
    lab.promote(OLD)
    pins = [_pin(OLD, 1), _pin(NEW, 2), _pin(NEW, 2), _pin(NEW, 2)]
    hints: list[Any] = []
    manager = TaskManager(
        lab.records, lab.ground.catalog, Bus(lab.database), lambda: pins.pop(0), lambda *hint: hints.append(hint)
    )
    manager.reconcile()
    assert (hints, lab.task(task_id)["status"]) == ([], TaskStatus.READY)
    manager.reconcile()
    assert hints == [("queue-1", task_id, 1)]
    assert lab.task(task_id)["pin"] == _pin(NEW, 2)


def _pin(snapshot: str, generation: int) -> Pin:
    return Pin(snapshot=snapshot, generation=generation, commit=None, dirty=False, environment="e")


def test_a_task_that_new_code_does_not_take_is_parked_until_code_does(lab: Lab) -> None:
    lab.promote(NEW)
    (task_id,) = lab.submit([])
    lab.promote(OLD, STRICTER)
    lab.add_worker(OLD)
    lab.add_worker(NEW)
    lab.start()
    reason = lab.until(lambda: lab.task(task_id)["reason"])
    assert "does not take its parameters: parameter 'ramp' is missing" in reason
    assert lab.task(task_id)["status"] == TaskStatus.READY
    lab.promote(NEW)
    assert lab.sent.get(timeout=20) == ("queue-1", task_id, 1)
    assert lab.task(task_id)["reason"] is None


def test_what_is_not_claimed_is_sent_again(started: Lab) -> None:
    (task_id,) = started.submit([])
    hint = started.sent.get(timeout=20)
    started.stop()
    long_ago = now() - timedelta(seconds=6)
    started.records.tasks.update_one({"_id": task_id}, {"$set": {"sent_at": long_ago}})
    started.build()
    started.start()
    assert started.sent.get(timeout=20) == hint
    assert started.task(task_id)["attempt"] == 1


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_jump_of_the_clock_neither_holds_up_nor_repeats_a_hint(lab: Lab, jump: timedelta) -> None:
    """The wall clock is what ``sent_at`` was written by."""
    lab.promote(NEW)
    lab.add_worker()
    (task_id,) = lab.submit([])
    clock = [100.0]
    sent: list[str] = []
    manager = TaskManager(
        lab.records,
        lab.ground.catalog,
        lab.ground.bus,
        lab.ground.current_pin,
        lambda _queue, task, _attempt: sent.append(task),
        clock=lambda: clock[0],
    )
    lab.records.tasks.update_one({"_id": task_id}, {"$set": {"status": TaskStatus.READY, "ready_at": now()}})
    assert manager.reconcile() == pytest.approx(5.0, abs=0.5)
    lab.records.tasks.update_one({"_id": task_id}, {"$set": {"sent_at": now() + jump}})
    clock[0] += 4.0
    manager.reconcile()
    assert sent == [task_id]
    clock[0] += 1.0
    assert manager.reconcile() == 5.0
    assert sent == [task_id, task_id]


def test_a_task_whose_class_wants_it_gets_a_process_for_itself(started: Lab) -> None:
    definitions = started.ground.catalog.get(NEW)
    isolated = replace(definitions, tasks={"Heating": {**definitions.tasks["Heating"], "isolation": "process"}})
    started.ground.catalog.put(isolated)
    (task_id,) = started.submit([])
    assert started.lone.started.get(timeout=20) == (NEW, task_id, 1)
    assert started.sent.empty()


def test_a_process_for_one_task_is_started_again_where_no_worker_is_left(lab: Lab) -> None:
    lab.promote(NEW)
    lab.describe(isolation="process")
    lab.start()
    task = new_task("Heating", {"minutes": 1}, samples=[], experiment="e")
    pin = {"snapshot": NEW, "generation": 1, "commit": None, "dirty": False, "environment": "e"}
    sent = {"status": TaskStatus.INITIATED, "pin": pin, "attempt": 1, "sent_at": now() - timedelta(minutes=1)}
    lab.records.tasks.insert_one({**task, **sent})  # type: ignore[typeddict-item]
    lab.new_backend._tasks.wake()
    assert lab.lone.started.get(timeout=20) == (NEW, task["_id"], 1)


def test_a_task_without_its_experiment_is_left_alone(started: Lab) -> None:
    orphan = new_task("Heating", {"minutes": 1}, samples=[], experiment=new_id())
    orphan["status"], orphan["ready_at"] = TaskStatus.READY, now()
    started.records.tasks.insert_one(orphan)
    (task_id,) = started.submit([])
    assert started.run() == task_id
    assert started.task(orphan["_id"])["status"] == TaskStatus.READY


def test_an_experiment_that_cannot_go_on_stops_no_other_and_goes_on_once_it_can(lab: Lab) -> None:
    lab.promote(NEW)
    lab.add_worker()
    spoilt, others = lab.submit([], [0]), lab.submit([], [0])
    lab.records.tasks.update_one({"_id": spoilt[1]}, {"$set": {"previous": ["what there is not"]}})
    lab.start()
    for task in others:
        lab.becomes(task, TaskStatus.INITIATED)
        lab.claim(task)
        lab.end(task)
    lab.until(lambda: experiment_of(lab, others[0])["status"] == ExperimentStatus.COMPLETED)
    lab.records.tasks.update_one({"_id": spoilt[1]}, {"$set": {"previous": []}})
    lab.becomes(spoilt[1], TaskStatus.INITIATED)


def test_only_old_leftovers_of_a_submission_are_swept(lab: Lab) -> None:
    lab.promote(NEW)
    (kept,) = lab.submit([])
    for age in (0, 120):
        task = new_task("Heating", {}, samples=[], experiment=f"never stored {age}")
        task["created_at"] = now() - timedelta(seconds=age)
        lab.records.tasks.insert_one(task)
    assert sweep_leftovers(lab.records) == 1
    assert {task["experiment"] for task in lab.records.tasks.find({})} == {
        "never stored 0",
        lab.task(kept)["experiment"],
    }


def test_what_is_left_of_a_submission_goes_once_it_is_old_enough(lab: Lab) -> None:
    manager = ExperimentManager(lab.records, lab.ground.bus, lambda _: None)
    task = new_task("Heating", {}, samples=[], experiment="never stored")
    lab.records.tasks.insert_one(task)
    manager.reconcile()
    assert lab.records.tasks.count_documents({}) == 1
    lab.records.tasks.update_one({"_id": task["_id"]}, {"$set": {"created_at": now() - timedelta(minutes=2)}})
    manager.reread()
    manager.reconcile()
    assert lab.records.tasks.count_documents({}) == 0


def test_a_refused_submission_leaves_nothing(lab: Lab) -> None:
    lab.promote(NEW)
    with pytest.raises(SubmissionError):
        lab.new_backend.submit({"name": "x", "samples": [{"name": "s"}], "tasks": [{"type": "Nothing"}]})
    assert lab.records.tasks.count_documents({}) == lab.records.samples.count_documents({}) == 0


def test_nothing_can_be_submitted_before_there_is_code(lab: Lab) -> None:
    with pytest.raises(ConflictError, match="No code version is current"):
        lab.submit([])


def test_a_retried_task_keeps_its_pin_and_is_sent_to_that_version(lab: Lab) -> None:
    lab.promote(NEW)
    process = lab.add_worker()
    lab.start()
    (task_id,) = lab.submit([])
    lab.run()
    lab.furnish()
    lab.records.devices.update_one({"_id": "arm"}, {"$set": {"holder": task_id}})
    process.kill()
    lab.becomes(task_id, TaskStatus.LOST)
    lab.promote(OLD)
    lab.new_backend.commands.retry(task_id, "ann")
    assert lab.devices.revoked == ["arm"]
    while lab.ensured.get(timeout=20) != NEW:
        pass
    lab.add_worker(NEW)
    assert lab.sent.get(timeout=20) == ("queue-1", task_id, 2)
    pin = lab.task(task_id)["pin"]
    assert pin is not None
    assert pin["snapshot"] == NEW


def test_a_retry_after_an_error_revives_what_came_after(started: Lab) -> None:
    first, second, third = started.submit([], [0], [1])
    started.run()
    started.end(first, TaskStatus.ERROR)
    started.becomes(third, TaskStatus.CANCELLED)
    started.until(lambda: experiment_of(started, first)["status"] == ExperimentStatus.ERROR)
    started.new_backend.commands.retry(first, "ann")
    for expected in (first, second, third):
        assert started.run() == expected
        started.end(expected)
    started.until(lambda: experiment_of(started, first)["status"] == ExperimentStatus.COMPLETED)


def test_a_retry_that_a_crash_cut_short_goes_on(lab: Lab) -> None:
    lab.promote(NEW)
    lab.add_worker()
    (task_id,) = lab.submit([])
    lab.records.experiments.update_one({}, {"$set": {"status": ExperimentStatus.ERROR, "completed_at": now()}})
    lab.start()
    assert lab.run() == task_id
    assert experiment_of(lab, task_id)["completed_at"] is None


def test_a_task_that_a_person_cancelled_is_not_revived(started: Lab) -> None:
    first, second = started.submit([], [0])
    started.run()
    started.new_backend.commands.cancel_task(second, "ann")
    started.end(first, TaskStatus.ERROR)
    started.new_backend.commands.retry(first, "ann")
    started.end(started.run())
    started.until(lambda: experiment_of(started, first)["status"] == ExperimentStatus.CANCELLED)
    assert started.task(second)["reason"] == "Cancelled by ann."


@pytest.mark.parametrize("status", [TaskStatus.WAITING, TaskStatus.READY, TaskStatus.RUNNING, TaskStatus.COMPLETED])
def test_only_what_was_lost_or_failed_is_retried(lab: Lab, status: TaskStatus) -> None:
    lab.promote(NEW)
    (task_id,) = lab.submit([])
    lab.records.tasks.update_one({"_id": task_id}, {"$set": {"status": status}})
    with pytest.raises(ConflictError, match=f"is {status}"):
        lab.new_backend.commands.retry(task_id, "ann")


def test_a_running_task_is_asked_to_stop(started: Lab) -> None:
    (task_id,) = started.submit([])
    started.run()
    task = started.new_backend.commands.cancel_task(task_id, "ann")
    assert (task["status"], task["cancel_requested"]) == (TaskStatus.RUNNING, True)


def test_cancelling_an_experiment_cancels_its_tasks(started: Lab) -> None:
    first, second = started.submit([], [0])
    started.run()
    started.new_backend.commands.cancel_experiment(started.task(first)["experiment"], "ann")
    assert started.task(first)["cancel_requested"]
    assert started.task(second)["status"] == TaskStatus.CANCELLED


def test_what_has_ended_or_never_was_cannot_be_cancelled(started: Lab) -> None:
    (task_id,) = started.submit([])
    started.run()
    started.end(task_id)
    with pytest.raises(ConflictError, match="COMPLETED"):
        started.new_backend.commands.cancel_task(task_id, "ann")
    with pytest.raises(NotFoundError):
        started.new_backend.commands.cancel_task("nothing", "ann")
    with pytest.raises(NotFoundError):
        started.new_backend.commands.cancel_experiment("nothing", "ann")


def test_managers_that_start_later_carry_on(started: Lab) -> None:
    first, second = started.submit([], [0])
    started.run()
    started.stop()
    started.end(first)
    started.build()
    started.start()
    assert started.run() == second


def test_the_managers_that_start_last_are_in_charge(lab: Lab) -> None:
    first = Epoch(lab.records)
    assert not first.superseded()
    second = Epoch(lab.records)
    assert first.superseded()
    assert not second.superseded()


def test_the_bus_tells_only_of_fields_of_interest(lab: Lab) -> None:
    woken: queue.Queue[str] = queue.Queue()
    lab.ground.bus.subscribe("workers", lambda: woken.put("capacity"), {"capacity"})
    lab.ground.bus.subscribe("workers", lambda: woken.put("beat"), {"beat"})
    lab.ground.bus.start()
    try:
        assert {woken.get(timeout=20), woken.get(timeout=20)} == {"capacity", "beat"}
        lab.add_worker()
        assert {woken.get(timeout=20), woken.get(timeout=20)} == {"capacity", "beat"}
        lab.records.workers.update_one({}, {"$inc": {"beat": 1}})
        assert woken.get(timeout=20) == "beat"
        lab.records.workers.update_one({}, {"$set": {"capacity": 3}})
        assert woken.get(timeout=20) == "capacity"
    finally:
        lab.ground.bus.stop()


def test_the_newest_refreshes_are_told_of_when_there_are_many(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "_LIMIT", 2)
    for name in ("a", "b", "c"):
        lab.records.refreshes.insert_one({"_id": name})
    assert [each["_id"] for each in views.refreshes(lab.records)] == ["c", "b"]
