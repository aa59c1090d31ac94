"""Workers for the code that needs one, and the tasks of a worker that died."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.records import RequestStatus, TaskStatus, Want, new_task

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.system

OLD, NEW = "0" * 64, "1" * 64


def test_current_code_gets_a_worker(lab: Lab) -> None:
    lab.promote(NEW)
    lab.start()
    assert lab.ensured.get(timeout=20) == NEW


def test_a_new_current_snapshot_gets_a_worker_without_a_task(lab: Lab) -> None:
    lab.promote(NEW)
    lab.add_worker()
    lab.start()
    lab.promote(OLD)
    assert lab.ensured.get(timeout=20) == OLD


def test_current_code_whose_worker_was_retired_gets_another_one(lab: Lab) -> None:
    lab.promote(NEW)
    lab.add_worker(capacity=0)
    lab.start()
    assert lab.ensured.get(timeout=20) == NEW


def test_a_worker_that_retires_just_after_its_code_went_live_is_replaced(lab: Lab) -> None:
    lab.promote(NEW)
    lab.add_worker()
    lab.start()
    lab.records.workers.update_one({}, {"$set": {"capacity": 0}})
    assert lab.ensured.get(timeout=20) == NEW


def test_tasks_of_a_dead_worker_are_lost_and_keep_their_pin(lab: Lab) -> None:
    lab.promote(NEW)
    process = lab.add_worker()
    lab.start()
    running, later = lab.submit([], [0])
    lab.run()
    pin = lab.task(running)["pin"]
    request = lab.request(running, Want(key="arm", kind="device", name="arm", positions={}))
    process.kill()
    task = lab.becomes(running, TaskStatus.LOST)
    assert (task["pin"], task["claim"]) == (pin, None)
    (attempt,) = task["attempts"]
    assert (attempt["attempt"], attempt["worker"], attempt["outcome"]) == (1, "worker-1", TaskStatus.LOST)
    assert (attempt["snapshot"], attempt["generation"]) == (NEW, 1)
    assert lab.task(later)["status"] == TaskStatus.WAITING
    lab.reaches(request, RequestStatus.CANCELLED)
    lab.until(lambda: lab.records.workers.count_documents({}) == 0)


def test_an_unclaimed_task_of_a_dead_worker_is_not_lost(lab: Lab) -> None:
    lab.promote(NEW)
    process = lab.add_worker()
    lab.start()
    (task_id,) = lab.submit([])
    lab.sent.get(timeout=20)
    process.kill()
    lab.until(lambda: lab.records.workers.count_documents({}) == 0)
    assert lab.task(task_id)["status"] == TaskStatus.INITIATED
    assert lab.ensured.get(timeout=20) == NEW


def test_a_worker_that_died_while_no_manager_ran_is_noticed(lab: Lab) -> None:
    lab.promote(NEW)
    lab.add_worker()
    lab.start()
    (task_id,) = lab.submit([])
    lab.run()
    lab.stop()
    lab.records.workers.delete_many({})
    lab.build()
    lab.start()
    lab.becomes(task_id, TaskStatus.LOST)


def test_subtasks_end_with_their_lost_parent(lab: Lab) -> None:
    lab.promote(NEW)
    process = lab.add_worker()
    lab.start()
    (task_id,) = lab.submit([])
    lab.run()
    parent = lab.task(task_id)
    subtask = new_task("Heating", {}, samples=[], experiment=parent["experiment"], parent=task_id)
    subtask["status"], subtask["claim"] = TaskStatus.RUNNING, parent["claim"]
    lab.records.tasks.insert_one(subtask)
    process.kill()
    lab.becomes(subtask["_id"], TaskStatus.CANCELLED)
