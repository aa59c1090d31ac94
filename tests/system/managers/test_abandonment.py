"""Cancelled tasks whose code does not end: abandoned in time, kept for a person, then retried or given up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

from lab.managers.abandonment import AbandonmentManager
from lab.managers.isolation import end_killed
from lab.managers.worker_processes import WorkerProcesses
from lab.records import RequestStatus, TaskStatus, Want
from lab.refusals import ConflictError

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.system
NEW = "1" * 64
GRACE = 30.0
ARM = Want(key="arm", kind="device", name="arm", positions={})


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def started(lab: Lab) -> Lab:
    lab.promote(NEW)
    lab.add_worker()
    lab.furnish()
    lab.start()
    return lab


@pytest.fixture
def clock() -> Clock:
    return Clock()


Make = Callable[..., AbandonmentManager]


@pytest.fixture
def make(started: Lab, clock: Clock) -> Make:
    def make(revoke: Any = None) -> AbandonmentManager:
        revoke = revoke or started.devices.revoke
        ground, kill = started.ground, started.lone.kill
        return AbandonmentManager(ground.records, ground.catalog, ground.bus, GRACE, revoke, kill, clock)

    return make


@pytest.fixture
def holding(started: Lab) -> str:
    """A task that holds the arm."""
    task = started.running_task()
    started.reaches(started.request(task, ARM), RequestStatus.FULFILLED)
    return task


@pytest.fixture
def abandoned(started: Lab, holding: str, make: Make, clock: Clock) -> Iterator[str]:
    manager = make()
    started.new_backend.commands.cancel_task(holding, "ann")
    manager.reconcile()
    clock.time += GRACE
    manager.reconcile()
    manager.reconcile()
    yield holding


def request_of(lab: Lab, task: str) -> Any:
    return lab.records.requests.find_one({"task": task})


def test_a_cancelled_task_has_its_time(started: Lab, holding: str, make: Make, clock: Clock) -> None:
    manager = make()
    started.new_backend.commands.cancel_task(holding, "ann")
    assert manager.reconcile() == GRACE
    clock.time += GRACE - 1
    assert manager.reconcile() == 1
    assert started.task(holding)["status"] == TaskStatus.RUNNING


def test_managers_that_start_anew_give_it_its_time_anew(started: Lab, holding: str, make: Make, clock: Clock) -> None:
    started.new_backend.commands.cancel_task(holding, "ann")
    make().reconcile()
    clock.time += GRACE - 1
    assert make().reconcile() == GRACE


def test_a_task_that_nobody_cancelled_is_left_alone(started: Lab, holding: str, make: Make, clock: Clock) -> None:
    manager = make()
    assert manager.reconcile() is None
    clock.time += GRACE
    manager.reconcile()
    assert started.task(holding)["status"] == TaskStatus.RUNNING


def test_an_abandoned_task_is_in_nobodys_hands_and_keeps_what_it_holds(started: Lab, abandoned: str) -> None:
    task = started.task(abandoned)
    assert (task["status"], task["claim"], task.get("ended_at")) == (TaskStatus.ABANDONED, None, None)
    assert task["message"] == "It was cancelled and did not end within 30 s; retry or cancel it."
    assert [attempt["outcome"] for attempt in task["attempts"]] == [TaskStatus.ABANDONED]
    assert (started.device("arm")["holder"], request_of(started, abandoned)["kept"]) == (abandoned, True)
    assert set(started.devices.revoked) == {"arm"}
    worker = started.records.workers.find_one({})
    assert worker is not None
    assert worker["stuck"] == [{"task": abandoned, "attempt": 1}]


def test_cancelling_what_was_abandoned_gives_up_what_it_held(started: Lab, abandoned: str) -> None:
    started.new_backend.commands.cancel_task(abandoned, "ann")
    assert started.task(abandoned)["status"] == TaskStatus.CANCELLED
    started.until(lambda: request_of(started, abandoned)["status"] == RequestStatus.RELEASED)
    assert started.device("arm")["holder"] is None


def test_what_was_abandoned_can_be_retried_with_what_it_holds(started: Lab, abandoned: str) -> None:
    started.new_backend.commands.retry(abandoned, "ann")
    running = {"status": TaskStatus.RUNNING, "attempt": 2, "claim": {"worker": "worker-1", "token": "t"}}
    started.records.tasks.update_one({"_id": abandoned}, {"$set": running})
    again = started.request(abandoned, ARM, attempt=2)
    started.reaches(again, RequestStatus.FULFILLED)
    assert (started.device("arm")["holder"], started.device("arm")["request"]) == (abandoned, again)


def test_what_ends_in_time_stays_ended(started: Lab, holding: str, make: Make, clock: Clock) -> None:
    manager = make()
    started.new_backend.commands.cancel_task(holding, "ann")
    manager.reconcile()
    started.end(holding, TaskStatus.CANCELLED)
    clock.time += GRACE
    assert manager.reconcile() is None
    assert started.task(holding)["status"] == TaskStatus.CANCELLED
    started.until(lambda: started.device("arm")["holder"] is None)


def test_a_driver_that_does_not_answer_is_asked_again_and_told_of(
    started: Lab, holding: str, make: Make, clock: Clock
) -> None:
    revoke = MagicMock(side_effect=ConflictError("Device arm was not taken from its holder."))
    manager = make(revoke)
    started.new_backend.commands.cancel_task(holding, "ann")
    manager.reconcile()
    clock.time += GRACE
    manager.reconcile()
    assert manager.reconcile() == 5.0
    assert "Device arm was not taken from its holder." in started.task(holding)["message"]
    revoke.reset_mock(side_effect=True)
    assert manager.reconcile() is None
    assert manager.reconcile() is None
    revoke.assert_called_once_with("arm", started.device("arm")["request"])


def test_subtasks_and_open_requests_of_an_abandoned_task_end(
    started: Lab, holding: str, make: Make, clock: Clock
) -> None:
    blocker = started.running_task()
    other = Want(key="furnace_1", kind="device", name="furnace_1", positions={})
    started.reaches(started.request(blocker, other), RequestStatus.FULFILLED)
    waiting = started.request(holding, other)
    manager = make()
    started.new_backend.commands.cancel_task(holding, "ann")
    manager.reconcile()
    clock.time += GRACE
    manager.reconcile()
    started.reaches(waiting, RequestStatus.CANCELLED)


def test_a_task_with_a_process_for_itself_is_killed_and_cancelled(
    started: Lab, holding: str, make: Make, clock: Clock
) -> None:
    started.records.tasks.update_one({"_id": holding}, {"$set": {"claim.process": "task-t-1"}})
    manager = make()
    started.new_backend.commands.cancel_task(holding, "ann")
    manager.reconcile()
    clock.time += GRACE
    assert manager.reconcile() is None
    assert started.lone.killed == ["task-t-1"]
    task = started.task(holding)
    assert (task["status"], task["reason"]) == (TaskStatus.CANCELLED, "It was cancelled, and its process ended.")
    assert [attempt["outcome"] for attempt in task["attempts"]] == [TaskStatus.CANCELLED]
    started.until(lambda: started.device("arm")["holder"] is None)


def test_a_killed_task_that_waits_for_a_person_asks_for_nothing_any_more(lab: Lab) -> None:
    lab.promote(NEW)
    lab.describe(clean_up="ask")
    lab.furnish()
    task = lab.running_task()
    lab.records.positions.update_one({"_id": "furnace_1/slot/1"}, {"$set": {"holder": task}})
    lab.records.samples.insert_one({"_id": "s", "name": "s", "position": "furnace_1/slot/1"})  # type: ignore[typeddict-item]
    request = lab.request(task, ARM)
    assert end_killed(lab.records, lab.ground.catalog, lab.task(task))
    assert lab.asked(request)["status"] == RequestStatus.CANCELLED
    killed = lab.task(task)
    assert (killed["status"], killed["ends_as"]) == (TaskStatus.FINISHING, TaskStatus.CANCELLED)
    assert [attempt["outcome"] for attempt in killed["attempts"]] == [TaskStatus.CANCELLED]


def test_what_a_task_that_waits_for_a_person_still_asks_for_is_withdrawn(started: Lab) -> None:
    holder, task = started.running_task(), started.running_task()
    started.reaches(started.request(holder, ARM), RequestStatus.FULFILLED)
    request = started.request(task, ARM)
    started.records.positions.update_one({"_id": "furnace_1/slot/1"}, {"$set": {"holder": task}})
    started.records.samples.insert_one({"_id": "s", "name": "s", "position": "furnace_1/slot/1"})  # type: ignore[typeddict-item]
    finishing = {"status": TaskStatus.FINISHING, "ends_as": TaskStatus.CANCELLED, "claim": None}
    started.records.tasks.update_one({"_id": task}, {"$set": finishing})
    started.reaches(request, RequestStatus.CANCELLED)
    assert started.task(task)["status"] == TaskStatus.FINISHING


def test_a_process_that_cannot_be_killed_is_tried_again(
    started: Lab, holding: str, make: Make, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    started.records.tasks.update_one({"_id": holding}, {"$set": {"claim.process": "task-t-1"}})
    monkeypatch.setattr(started.lone, "kill", MagicMock(side_effect=ConflictError("The fleet does not answer.")))
    manager = make()
    started.new_backend.commands.cancel_task(holding, "ann")
    manager.reconcile()
    clock.time += GRACE
    assert manager.reconcile() == 5.0
    assert started.task(holding)["status"] == TaskStatus.RUNNING


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_task_whose_own_process_died_is_lost_unless_it_was_to_end(started: Lab, cancelled: bool) -> None:
    task = started.running_task()
    claim = {"claim.process": "task-t-1", "claim.worker": "task-t-1-abc", "cancel_requested": cancelled}
    started.records.tasks.update_one({"_id": task}, {"$set": claim})
    started.records.workers.update_one({}, {"$set": {"capacity": 9}})
    started.becomes(task, TaskStatus.CANCELLED if cancelled else TaskStatus.LOST)


def test_cancelling_stops_the_devices_of_the_task_when_asked(started: Lab, holding: str) -> None:
    started.new_backend.commands.cancel_task(holding, "ann", stop_devices=True)
    assert started.task(holding)["cancel_requested"]
    assert started.devices.asked == [("emergency_stop", "arm")]
    assert started.device("arm")["paused"]


def test_a_device_that_cannot_be_stopped_is_told_and_the_task_is_cancelled_all_the_same(
    started: Lab, holding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(device: str) -> None:
        raise ConflictError(f"Device {device} was not stopped; go and look.")

    monkeypatch.setattr(started.new_backend.commands, "_stop", refuse)
    with pytest.raises(ConflictError, match="is cancelled, but not all its devices stopped: Device arm was not"):
        started.new_backend.commands.cancel_task(holding, "ann", stop_devices=True)
    assert started.task(holding)["cancel_requested"]


def test_an_experiment_is_cancelled_whole_when_a_device_of_its_first_task_cannot_be_stopped(
    started: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = []

    def stop(device: str) -> None:
        if device == "furnace_1":
            raise ConflictError("furnace_1 was not stopped; go and look.")
        stopped.append(device)

    monkeypatch.setattr(started.new_backend.commands, "_stop", stop)
    first, second, third = started.submit([], [], [0])
    for device in ("furnace_1", "furnace_2"):
        task = started.run()
        started.records.devices.update_one({"_id": device}, {"$set": {"holder": task}})
    experiment = started.task(first)["experiment"]
    with pytest.raises(ConflictError, match=r"Experiment \w+ is cancelled, but not all its devices stopped: furnace_1"):
        started.new_backend.commands.cancel_experiment(experiment, "ann", stop_devices=True)
    assert [started.task(task)["cancel_requested"] for task in (first, second, third)] == [True, True, True]
    assert stopped == ["furnace_2"]


@pytest.mark.parametrize("stuck", [True, False])
def test_only_a_worker_with_abandoned_code_is_ended_without_its_answer(started: Lab, stuck: bool) -> None:
    def hang(_address: object) -> bool:
        raise TimeoutError

    if stuck:
        started.records.workers.update_one({}, {"$set": {"stuck": [{"task": "t", "attempt": 1}]}})
    fleet = _Fleet()
    processes = WorkerProcesses(started.records, fleet, {}, hang, lambda _snapshot: None)
    assert processes.retire(NEW) is stuck


class _Fleet:
    """Has no process of its own; those on record are asked."""

    def ensure(self, *_: object) -> Any:
        raise AssertionError

    def stop(self, *_: object) -> None: ...
    def release(self, _snapshot: str) -> None: ...
    def processes(self) -> list[Any]:
        return []
