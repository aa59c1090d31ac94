"""Retiring real worker processes: running tasks are never cut off, and code that is needed again gets a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hotswap.routing import make_broker, queue_name, send
from lab.managers.worker_processes import WorkerProcesses, ask_to_retire, worker_name
from lab.records import Pin, Records, TaskStatus, new_task

pytestmark = pytest.mark.system
SECRET, OLD = "correct horse", "a" * 64
TASKS = """

class Waiting(BaseTask):
    def run(self):
        self.set_message("waiting")
        self.lab_view.sleep(3600)


add_task(Waiting)
"""

Eventually = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def fleet(make_children: Any) -> Iterator[Any]:
    made = make_children(TASKS)
    made.release = lambda _snapshot: None
    yield made
    made.close()


@pytest.fixture
def processes(fleet: Any, records: Records, arguments: dict[str, Any]) -> WorkerProcesses:
    made = WorkerProcesses(records, fleet, arguments, ask_to_retire(SECRET), lambda _snapshot: None)
    made.ensure(OLD)
    return made


def start(records: Records, arguments: dict[str, Any]) -> str:
    task = new_task("Waiting", {}, samples=[], experiment="e1")
    pin = Pin(snapshot=OLD, generation=7, commit="c0ffee", dirty=False, environment="env")
    records.tasks.insert_one({**task, "status": TaskStatus.INITIATED, "pin": pin, "attempt": 1})
    broker = make_broker(arguments["broker_url"])
    send(broker, queue_name(arguments["lab"], OLD), "run_task", task["_id"], 1)
    broker.close()
    return task["_id"]


def cancel(records: Records, task_id: str) -> None:
    records.tasks.update_one({"_id": task_id}, {"$set": {"cancel_requested": True}})


def test_a_worker_goes_only_when_its_task_has_ended(
    processes: WorkerProcesses, fleet: Any, records: Records, arguments: dict[str, Any], eventually: Eventually
) -> None:
    task_id = start(records, arguments)
    eventually(lambda: records.tasks.find_one({"_id": task_id, "message": "waiting"}))
    assert not processes.retire(OLD)
    assert records.tasks.count_documents({"_id": task_id, "status": TaskStatus.RUNNING}) == 1
    cancel(records, task_id)
    assert eventually(lambda: processes.retire(OLD))
    assert fleet.running == {}
    assert records.workers.count_documents({}) == 0


def test_code_that_goes_live_while_its_worker_retires_gets_one_that_takes_tasks(
    processes: WorkerProcesses, fleet: Any, records: Records, arguments: dict[str, Any], eventually: Eventually
) -> None:
    assert fleet.running[worker_name(OLD)].call("retire")
    processes.ensure(OLD)
    task_id = start(records, arguments)
    eventually(lambda: records.tasks.find_one({"_id": task_id, "message": "waiting"}))
    cancel(records, task_id)
