"""What becomes of a claimed task when the worker itself fails; parts of a worker on a real database."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from hotswap.process import Context, Identity
from hotswap.wire import listen
from lab.records import Pin, Records, Task, TaskStatus, Worker, new_task, now
from lab.watching import Watcher
from lab.worker._actor import Intake
from lab.worker._lease import Lease
from lab.worker._run import TaskRun

pytestmark = pytest.mark.system
OLD = "a" * 64


@pytest.fixture
def lease(records: Records) -> Lease:
    document = Worker(
        _id="worker-1",
        snapshot=OLD,
        queue="q",
        identity=Identity.mine().to_dict(),
        instance="i",
        address=("127.0.0.1", 1),
        capacity=1,
        running=0,
        beat=0,
        started_at=now(),
    )
    records.workers.insert_one({**document})
    return Lease(records, document)


@pytest.fixture
def intake(records: Records, lease: Lease, tmp_path: Path) -> Intake:
    listener = listen()
    listener.close()
    context = Context(
        name="worker",
        snapshot=OLD,
        package="tiny_lab",
        tree=tmp_path,
        listener=listener,
        secret="s",
        instance="i",
        arguments={},
    )
    return Intake(context, records, Watcher(records.database, "tasks"), lease)


def add(records: Records) -> str:
    task = new_task("Unheard", {}, samples=[], experiment="e1")
    pin = Pin(snapshot=OLD, generation=7, commit="c0ffee", dirty=False, environment="env")
    records.tasks.insert_one({**task, "status": TaskStatus.INITIATED, "pin": pin, "attempt": 1})
    return task["_id"]


def read(records: Records, task_id: str) -> Task:
    task = records.tasks.find_one({"_id": task_id})
    assert task is not None
    return task


def refuse(*_: Any, **__: Any) -> Any:
    raise OperationFailure("the database refuses")


def test_a_task_whose_thread_does_not_start_ends_in_error_and_frees_its_slot(
    intake: Intake, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(_run: TaskRun) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(TaskRun, "start", no_thread)
    task_id = add(records)
    with pytest.raises(RuntimeError):
        intake.run_task(task_id, 1)
    task = read(records, task_id)
    assert (task["status"], [each["outcome"] for each in task["attempts"]]) == ("ERROR", ["ERROR"])
    assert "can't start new thread" in (task["error"] or "")
    assert intake.idle()


def test_a_task_that_cannot_be_read_after_its_claim_ends_in_error(
    intake: Intake, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([refuse])
    find_one = records.tasks.find_one

    def refused_once(*args: Any) -> Any:
        return next(answers, find_one)(*args)

    monkeypatch.setattr(records.tasks, "find_one", refused_once)
    task_id = add(records)
    with pytest.raises(OperationFailure):
        intake.run_task(task_id, 1)
    assert read(records, task_id)["status"] == "ERROR"
    assert intake.idle()


def test_a_task_whose_cancellation_cannot_be_looked_up_ends_in_error(
    intake: Intake, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TaskRun, "_look_for_cancellation", refuse)
    task_id = add(records)
    intake.run_task(task_id, 1)
    intake.join()
    assert "the database refuses" in (read(records, task_id)["error"] or "")


def test_an_ended_task_frees_its_slot_though_it_cannot_be_counted(
    intake: Intake, records: Records, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: ended.set())
    monkeypatch.setattr(lease, "ended", lambda *_: refuse())
    intake.run_task(add(records), 1)
    assert ended.wait(10.0)
    assert intake.idle()


def test_retired_it_takes_no_more_tasks_and_offers_no_capacity(intake: Intake, records: Records) -> None:
    assert intake.retire()
    task_id = add(records)
    intake.run_task(task_id, 1)
    assert read(records, task_id)["status"] == "INITIATED"
    assert records.workers.count_documents({"capacity": 0}) == 1
    assert intake.retire()


def test_it_does_not_retire_while_a_task_runs_or_is_claimed(
    intake: Intake, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bool] = []
    monkeypatch.setattr(TaskRun, "start", lambda _: answers.append(intake.retire()))
    intake.run_task(add(records), 1)
    assert answers == [False]
    assert records.workers.count_documents({"capacity": 1}) == 1
