"""Cancelled and abandoned tasks in a real worker process; the test plays the managers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hotswap.routing import make_broker, queue_name, send
from lab.managers.abandonment import abandon
from lab.records import Pin, Records, TaskStatus, new_task

pytestmark = pytest.mark.system
OLD = "a" * 64

TASKS = """

class Looping(BaseTask):
    def run(self):
        self.set_message("looping")
        n = 0
        while True:
            n += 1


class Stubborn(BaseTask):
    def __init__(self, gate: str):
        self.gate = gate

    def run(self):
        with self.lab_view.request_resources({"furnace": {}}) as (devices, _):
            devices["furnace"].which()
            try:
                self.set_message("holding")
                self.lab_view.sleep(3600)
            finally:
                while not os.path.exists(self.gate):
                    time.sleep(0.01)
                devices["furnace"].heat(900)


class Calling(BaseTask):
    def run(self):
        with self.lab_view.request_resources({"furnace": {}}) as (devices, _):
            self.set_message("calling")
            devices["furnace"].hang()


for task in (Looping, Stubborn, Calling):
    add_task(task)
"""

Eventually = Callable[[Callable[[], Any]], Any]


class Lab:
    """One worker and one driver process, and the moves that managers make."""

    def __init__(self, records: Records, children: Any, arguments: dict[str, Any], eventually: Eventually) -> None:
        self.records = records
        self.eventually = eventually
        self._broker = make_broker(arguments["broker_url"])
        self._queue = queue_name(arguments["lab"], OLD)
        self.worker = children.ensure("worker-aaa", OLD, "lab.worker:main", {**arguments, "capacity": 1})
        self.driver = children.ensure("driver", OLD, "lab.drivers:main", {**arguments, "devices": ["furnace"]})
        self.driver.call("connect", device="furnace")
        eventually(lambda: records.workers.find_one({}))
        self._fence = 0

    def close(self) -> None:
        self._broker.close()

    def start(self, kind: str, message: str, **parameters: Any) -> str:
        """A task that has come as far as ``message``; what it asks for is granted."""
        task = new_task(kind, parameters, samples=[], experiment="e1")
        pin = Pin(snapshot=OLD, generation=7, commit="c0ffee", dirty=False, environment="env")
        self.records.tasks.insert_one({**task, "status": TaskStatus.INITIATED, "pin": pin, "attempt": 1})
        self.send(task["_id"], 1)
        if kind != "Looping":
            self._grant(task["_id"])
        self.eventually(lambda: self.task(task["_id"])["message"] == message)
        return task["_id"]

    def send(self, task_id: str, attempt: int) -> None:
        send(self._broker, self._queue, "run_task", task_id, attempt)

    def task(self, task_id: str) -> Any:
        return self.records.tasks.find_one({"_id": task_id})

    def cancel(self, task_id: str) -> None:
        self.records.tasks.update_one({"_id": task_id}, {"$set": {"cancel_requested": True}})

    def abandon(self, task_id: str) -> None:
        """What the managers do once the time is up."""
        assert abandon(self.records, self.task(task_id), "It did not end")
        self._fence += 1
        self.driver.call("revoke", device="furnace", fence=self._fence)

    def request_of(self, task_id: str) -> Any:
        return self.records.requests.find_one({"task": task_id})

    def ends(self, task_id: str) -> Any:
        return self.eventually(lambda: self.records.tasks.find_one({"_id": task_id, "ended_at": {"$ne": None}}))

    def frees(self) -> None:
        """Wait until no thread of a task is left in the worker."""
        self.eventually(lambda: self.worker.call("tasks") == [])

    def _grant(self, task_id: str) -> None:
        request = self.eventually(lambda: self.records.requests.find_one({"task": task_id, "status": "PENDING"}))
        self._fence += 1
        self.driver.call("grant", device="furnace", fence=self._fence, task=task_id)
        granted = {"key": "furnace", "device": "furnace", "fence": self._fence, "address": self.driver.address}
        grant = {"devices": [{**granted, "snapshot": OLD, "digest": "d"}], "positions": {}}
        fulfilled = {"$set": {"status": "FULFILLED", "grant": grant}}
        self.records.requests.update_one({"_id": request["_id"]}, fulfilled)


@pytest.fixture
def lab(records: Records, make_children: Any, arguments: dict[str, Any], eventually: Eventually) -> Iterator[Lab]:
    children = make_children(TASKS)
    made = Lab(records, children, arguments, eventually)
    yield made
    made.close()
    children.close()


@pytest.fixture
def gate(tmp_path: Any) -> Any:
    return tmp_path / "gate"


def test_code_that_uses_neither_lab_nor_devices_is_cancelled(lab: Lab) -> None:
    task_id = lab.start("Looping", "looping")
    lab.cancel(task_id)
    task = lab.ends(task_id)
    assert (task["status"], task["reason"]) == ("CANCELLED", "It was cancelled.")


def test_a_task_in_a_call_is_cancelled_once_its_device_was_stopped(lab: Lab) -> None:
    task_id = lab.start("Calling", "calling")
    lab.cancel(task_id)
    lab.driver.call("emergency_stop", device="furnace")
    assert lab.ends(task_id)["status"] == "CANCELLED"
    assert lab.request_of(task_id)["status"] == "NEED_RELEASE"


def test_an_abandoned_task_keeps_what_it_holds_and_moves_nothing_when_its_code_goes_on(lab: Lab, gate: Any) -> None:
    task_id = lab.start("Stubborn", "holding", gate=str(gate))
    lab.cancel(task_id)
    lab.abandon(task_id)
    worker = lab.records.workers.find_one({})
    assert worker is not None
    assert worker["stuck"] == [{"task": task_id, "attempt": 1}]
    gate.touch()
    lab.frees()
    task = lab.task(task_id)
    assert (task["status"], task["claim"], task["ended_at"]) == ("ABANDONED", None, None)
    assert "its code ended since then" in task["message"]
    assert lab.request_of(task_id)["status"] == "FULFILLED"
    assert lab.records.calls.find_one({"method": "heat"}) is None
    assert lab.driver.call("status", device="furnace")["fence"] is None
    lab.eventually(lambda: lab.records.workers.find_one({"stuck": [], "running": 0}))
    assert lab.records.events.find_one({"kind": "task.ended_late", "subject": task_id}) is not None


def test_abandoning_cuts_off_the_wait_for_a_device_that_never_answers(lab: Lab) -> None:
    task_id = lab.start("Calling", "calling")
    lab.cancel(task_id)
    lab.abandon(task_id)
    lab.frees()
    assert lab.task(task_id)["status"] == "ABANDONED"


def test_abandoned_code_takes_no_room_and_does_not_bar_its_task_from_being_retried(lab: Lab, gate: Any) -> None:
    task_id = lab.start("Stubborn", "holding", gate=str(gate))
    lab.cancel(task_id)
    lab.abandon(task_id)
    again = {"status": TaskStatus.INITIATED, "attempt": 2, "cancel_requested": False, "type": "Looping", "message": ""}
    lab.records.tasks.update_one({"_id": task_id}, {"$set": {**again, "parameters": {}}})
    lab.eventually(lambda: lab.send(task_id, 2) or lab.task(task_id)["message"] == "looping")
    lab.cancel(task_id)
    assert lab.ends(task_id)["status"] == "CANCELLED"
    gate.touch()
    lab.frees()
    assert lab.task(task_id)["attempts"][-1]["outcome"] == "CANCELLED"


def test_a_worker_with_nothing_but_abandoned_code_retires(lab: Lab, gate: Any) -> None:
    task_id = lab.start("Stubborn", "holding", gate=str(gate))
    lab.cancel(task_id)
    assert lab.worker.call("retire") is False
    lab.abandon(task_id)
    lab.eventually(lambda: lab.worker.call("retire"))
    gate.touch()


def test_what_ended_in_time_is_not_abandoned(lab: Lab) -> None:
    task_id = lab.start("Looping", "looping")
    before = lab.task(task_id)
    lab.cancel(task_id)
    after = lab.ends(task_id)
    assert not abandon(lab.records, before, "It did not end")
    assert lab.task(task_id) == after
    lab.eventually(lambda: not (lab.records.workers.find_one({}) or {}).get("stuck"))
