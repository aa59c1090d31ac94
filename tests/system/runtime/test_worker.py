"""A worker process, fed through a real broker; the test plays the managers."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pymongo
import pytest

from hotswap.process import Identity
from hotswap.routing import make_broker, queue_name, send
from lab.records import Pin, Records, Sample, TaskStatus, new_id, new_task
from lab.task_logs import TaskLogs

pytestmark = pytest.mark.system
OLD = "a" * 64

TASKS = """

class Adding(BaseTask):
    def __init__(self, a: int, b: int = 1):
        self.a, self.b = a, b

    def run(self):
        self.set_message("adding")
        self.lab_view.update_result("first", self.a)
        return {"sum": self.a + self.b, "samples": self.samples, "version": Furnace.version}


class Failing(BaseTask):
    def validate(self):
        return True

    def run(self):
        raise TooHotError(900, unit="C")


class Refusing(BaseTask):
    def validate(self):
        raise ValueError("it is too cold")

    def run(self):
        return None


class Strange(BaseTask):
    def run(self):
        return {"value": object()}


class Waiting(BaseTask):
    def run(self):
        self.set_message("waiting")
        self.lab_view.sleep(3600)


class Using(BaseTask):
    def __init__(self, method: str = "which", timeout: float = 60.0):
        self.method, self.timeout = method, timeout

    def run(self):
        wanted = {Furnace: {"slot": 1}, None: {"table": 1}}
        with self.lab_view.request_resources(wanted, timeout=self.timeout) as (devices, places):
            for sample in self.samples:
                self.lab_view.move_sample(sample, places[Furnace]["slot"][0])
            answer = getattr(devices[Furnace], self.method)()
            return {"answer": answer, "name": devices[Furnace].name, "table": places[None]["table"]}


class Outer(BaseTask):
    def run(self):
        return {"inner": self.lab_view.run_subtask(Adding, a=2), "again": self.lab_view.run_subtask(Adding, a=3, b=4)}


class Spawning(BaseTask):
    def run(self):
        import multiprocessing, threading
        seen = []
        thread = threading.Thread(target=lambda: seen.append(Furnace.version))
        thread.start()
        thread.join()
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seen.append(pool.apply(version))
        return seen


class Measuring(BaseTask):
    def run(self):
        from datetime import timedelta

        self.logger.info("measuring")
        self.logger.log_amount({"zinc_mg": 5})
        self.logger.log("ERROR", {"spilled": {1, 2}})
        before = self.lab_view.get_latest_device_signal("scale", "mass")
        self.lab_view.log_device_signal("scale", "mass", 3)
        self.lab_view.log_device_signal("scale", "mass", 4)
        latest = self.lab_view.get_latest_device_signal("scale", "mass")
        readings = self.lab_view.device_signals("scale", "mass", timedelta(hours=1))
        logged = [entry.data for entry in self.logger.filter_log("WARNING", timedelta(hours=1))]
        return {"before": before, "latest": latest.value, "values": [each.value for each in readings], "logged": logged}


class Mismeasuring(BaseTask):
    def run(self):
        self.lab_view.log_device_signal("skale", "mass", 3)


def version():
    return Furnace.version


for task in (Adding, Failing, Refusing, Strange, Waiting, Using, Outer, Spawning, Measuring, Mismeasuring):
    add_task(task)
"""


class Lab:
    """One worker, its database, and the moves a manager makes."""

    def __init__(self, records: Records, worker: Any, broker: dramatiq.Broker, queue: str) -> None:
        self.records = records
        self.worker = worker
        self.broker = broker
        self.queue = queue

    def add(self, kind: str, **fields: Any) -> str:
        """A task that was dispatched, but whose message was not sent yet."""
        task = new_task(kind, fields.pop("parameters", {}), samples=fields.pop("samples", []), experiment="e1")
        pin = Pin(snapshot=OLD, generation=7, commit="c0ffee", dirty=False, environment="env")
        self.records.tasks.insert_one({**task, "status": TaskStatus.INITIATED, "pin": pin, "attempt": 1, **fields})
        return task["_id"]

    def send(self, *args: Any) -> None:
        send(self.broker, self.queue, "run_task", *args)

    def start(self, kind: str, **fields: Any) -> str:
        task_id = self.add(kind, **fields)
        self.send(task_id, 1)
        return task_id

    def task(self, task_id: str) -> Any:
        return self.records.tasks.find_one({"_id": task_id})

    def end_of(self, task_id: str) -> Any:
        ended = {"_id": task_id, "ended_at": {"$ne": None}}
        return wait_for(lambda: self.records.tasks.find_one(ended))

    def request_of(self, task_id: str, status: str = "PENDING") -> Any:
        return wait_for(lambda: self.records.requests.find_one({"task": task_id, "status": status}))

    def grant(self, request: Any, driver: Any, fence: int) -> None:
        """Do what the resource manager does."""
        key = request["wants"][0]["key"]
        driver.call("grant", device="furnace", fence=fence, task=request["task"])
        for name in ("furnace/slot/1", "table/1"):
            place = {"$set": {"device": None, "prefix": "p", "holder": request["task"], "request": request["_id"]}}
            self.records.positions.update_one({"_id": name}, place, upsert=True)
        granted = {"key": key, "device": "furnace", "fence": fence, "address": driver.address}
        positions = {key: {"slot": ["furnace/slot/1"]}, request["wants"][1]["key"]: {"table": ["table/1"]}}
        grant = {"devices": [{**granted, "snapshot": OLD, "digest": "d"}], "positions": positions}
        fulfilled = {"$set": {"status": "FULFILLED", "grant": grant}}
        self.records.requests.update_one({"_id": request["_id"]}, fulfilled)


def wait_for(ask: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 10.0
    while not (answer := ask()):
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.01)
    return answer


@pytest.fixture(scope="module")
def lab(mongo_uri: str, broker_url: str, make_children: Any) -> Iterator[Lab]:
    children = make_children(TASKS)
    name = f"test_{uuid.uuid4().hex[:12]}"
    arguments = {"mongo_uri": mongo_uri, "database": name, "broker_url": broker_url, "lab": name, "capacity": 8}
    broker = make_broker(broker_url)
    with pymongo.MongoClient[dict[str, Any]](mongo_uri, tz_aware=True) as client:
        records = Records(client[name])
        records.create_indexes()
        worker = children.ensure("worker-aaa", OLD, "lab.worker:main", arguments)
        wait_for(lambda: records.workers.find_one({}))
        yield Lab(records, worker, broker, queue_name(name, OLD))
        client.drop_database(name)
    broker.close()
    children.close()


@pytest.fixture(scope="module")
def driver(lab: Lab, mongo_uri: str, make_children: Any) -> Iterator[Any]:
    children = make_children("")
    arguments = {"devices": ["furnace"], "mongo_uri": mongo_uri, "database": lab.records.database.name}
    made = children.ensure("driver-furnace", OLD, "lab.drivers:main", arguments)
    made.call("connect", device="furnace")
    yield made
    children.close()


@pytest.fixture
def fence() -> int:
    """Above all fences before it."""
    return time.monotonic_ns()


def test_a_worker_tells_who_it_is(lab: Lab) -> None:
    worker = lab.records.workers.find_one({})
    assert worker is not None
    assert Identity.from_dict(worker["identity"]) == lab.worker.identity
    assert (worker["snapshot"], worker["queue"], worker["capacity"], worker["running"]) == (OLD, lab.queue, 8, 0)


def test_a_task_runs_with_the_code_and_the_samples_it_was_given(lab: Lab) -> None:
    sample = Sample(_id=new_id(), name="s1", experiment="e1", position=None, tags=[], metadata={}, history=[])
    lab.records.samples.insert_one(sample)
    task = lab.end_of(lab.start("Adding", parameters={"a": 2}, samples=[sample["_id"]]))
    assert task["status"] == "COMPLETED"
    assert task["result"] == {"first": 2, "sum": 3, "samples": ["s1"], "version": "old"}
    assert task["message"] == "adding"


def test_an_ended_task_names_the_code_and_the_worker_of_each_attempt(lab: Lab) -> None:
    task = lab.end_of(lab.start("Adding", parameters={"a": 2}))
    (attempt,) = task["attempts"]
    assert attempt["worker"] == task["claim"]["worker"]
    facts = {name: attempt[name] for name in ("attempt", "snapshot", "generation", "commit", "outcome")}
    assert facts == {"attempt": 1, "snapshot": OLD, "generation": 7, "commit": "c0ffee", "outcome": "COMPLETED"}


def test_a_message_that_comes_twice_runs_its_task_once(lab: Lab) -> None:
    task_id = lab.add("Adding", parameters={"a": 1})
    for _ in range(5):
        lab.send(task_id, 1)
    lab.end_of(task_id)
    lab.end_of(lab.start("Adding", parameters={"a": 1}))
    assert len(lab.task(task_id)["attempts"]) == 1


@pytest.mark.parametrize("message", [(), ("nobody", 1), (17, 1), ("x", "1"), ("x", 1, 2), ([], {})])
def test_a_malformed_message_does_no_harm(lab: Lab, message: tuple[Any, ...]) -> None:
    lab.send(*message)
    assert lab.end_of(lab.start("Adding", parameters={"a": 1}))["status"] == "COMPLETED"


@pytest.mark.parametrize("fields", [{"attempt": 2}, {"status": "READY"}, {"claim": {"token": "x"}}])
def test_a_task_that_does_not_wait_for_this_attempt_is_not_claimed(lab: Lab, fields: dict[str, Any]) -> None:
    task_id = lab.start("Adding", parameters={"a": 1}, **fields)
    before = lab.task(task_id)
    lab.end_of(lab.start("Adding", parameters={"a": 1}))
    assert lab.task(task_id) == before


def test_a_task_that_is_pinned_to_another_version_is_not_claimed(lab: Lab) -> None:
    pinned = lab.task(lab.add("Adding", parameters={"a": 1}))["pin"]
    task_id = lab.start("Adding", parameters={"a": 1}, pin={**pinned, "snapshot": "f" * 64})
    before = lab.task(task_id)
    lab.end_of(lab.start("Adding", parameters={"a": 1}))
    assert lab.task(task_id) == before


def test_an_error_is_told_in_a_sentence_with_its_place_in_the_code_version(lab: Lab) -> None:
    task = lab.end_of(lab.start("Failing"))
    assert task["status"] == "ERROR"
    first, _, rest = task["error"].partition("\n")
    assert first.startswith("TooHotError: hotter than 900 C (tiny_lab/__init__.py:")
    assert 'File "tiny_lab/__init__.py"' in rest


@pytest.mark.parametrize(
    ("kind", "parameters", "sentence"),
    [
        ("Refusing", {}, "ValueError: it is too cold"),
        ("Adding", {}, "ParameterError: task Adding: parameter 'a' is missing"),
        ("Strange", {}, "TypeError: The result of Strange['value'] is a builtins.object"),
        ("Unheard", {}, "has no task type 'Unheard'"),
    ],
)
def test_what_cannot_run_or_be_stored_ends_in_error(
    lab: Lab, kind: str, parameters: dict[str, Any], sentence: str
) -> None:
    task = lab.end_of(lab.start(kind, parameters=parameters))
    assert task["status"] == "ERROR"
    assert sentence in task["error"].splitlines()[0]


def test_a_running_task_is_counted_and_cancelled_at_once(lab: Lab) -> None:
    task_id = lab.start("Waiting")
    wait_for(lambda: lab.records.tasks.find_one({"_id": task_id, "message": "waiting"}))
    assert lab.worker.call("tasks") == [task_id]
    wait_for(lambda: lab.records.workers.find_one({"running": 1}))
    lab.records.tasks.update_one({"_id": task_id}, {"$set": {"cancel_requested": True}})
    asked = time.monotonic()
    task = lab.end_of(task_id)
    assert time.monotonic() - asked < 1.0
    assert (task["status"], task["reason"]) == ("CANCELLED", "It was cancelled.")
    wait_for(lambda: lab.records.workers.find_one({"running": 0}))


def test_no_more_tasks_run_at_once_than_the_capacity(lab: Lab) -> None:
    tasks = [lab.start("Waiting") for _ in range(9)]
    running = {"_id": {"$in": tasks}, "message": "waiting"}
    wait_for(lambda: lab.records.tasks.count_documents(running) == 8)
    lab.records.tasks.update_many(running, {"$set": {"cancel_requested": True}})
    wait_for(lambda: lab.records.workers.find_one({"running": 0}))
    assert lab.records.tasks.count_documents({"_id": {"$in": tasks}, "status": "INITIATED"}) == 1


def test_devices_and_places_are_used_when_they_are_granted(lab: Lab, driver: Any, fence: int) -> None:
    sample = Sample(_id=new_id(), name="s1", experiment="e1", position=None, tags=[], metadata={}, history=[])
    lab.records.samples.insert_one(sample)
    task_id = lab.start("Using", samples=[sample["_id"]])
    request = lab.request_of(task_id)
    assert [(want["kind"], want["name"], want["positions"]) for want in request["wants"]] == [
        ("class", "tiny_lab:Furnace", {"slot": 1}),
        ("none", None, {"table": 1}),
    ]
    wait_for(lambda: lab.task(task_id)["status"] == "REQUESTING_RESOURCES")
    lab.grant(request, driver, fence)
    task = lab.end_of(task_id)
    assert task["result"] == {"answer": "old", "name": "furnace", "table": ["table/1"]}
    assert lab.records.requests.find_one({"_id": request["_id"]})["status"] == "NEED_RELEASE"
    stored = lab.records.samples.find_one({"_id": sample["_id"]})
    assert (stored["position"], stored["history"][0]["task"]) == ("furnace/slot/1", task_id)


def test_an_exception_of_a_driver_is_of_the_class_the_task_knows(lab: Lab, driver: Any, fence: int) -> None:
    task_id = lab.start("Using", parameters={"method": "overheat"})
    lab.grant(lab.request_of(task_id), driver, fence)
    error = lab.end_of(task_id)["error"]
    assert error.startswith("TooHotError: hotter than 900 C")
    assert "Raised by furnace.overheat in its driver process" in error


def test_a_request_that_is_not_granted_in_time_is_withdrawn(lab: Lab) -> None:
    task_id = lab.start("Using", parameters={"timeout": 0.2})
    error = lab.end_of(task_id)["error"]
    assert "ResourceTimeout: Not all requested resources were free within 0.2 s" in error
    assert lab.records.requests.find_one({"task": task_id})["status"] == "CANCELLED"


def test_a_refused_request_fails_the_task_with_the_reason(lab: Lab) -> None:
    task_id = lab.start("Using")
    refusal = {"$set": {"status": "ERROR", "error": "There is no furnace."}}
    lab.records.requests.update_one({"_id": lab.request_of(task_id)["_id"]}, refusal)
    assert lab.end_of(task_id)["error"].startswith("ResourceError: There is no furnace.")


def test_cancelling_interrupts_the_wait_for_resources(lab: Lab) -> None:
    task_id = lab.start("Using")
    lab.request_of(task_id)
    lab.records.tasks.update_one({"_id": task_id}, {"$set": {"cancel_requested": True}})
    assert lab.end_of(task_id)["status"] == "CANCELLED"
    assert lab.records.requests.find_one({"task": task_id})["status"] == "CANCELLED"


def test_subtasks_run_inside_their_parent_and_have_documents_of_their_own(lab: Lab) -> None:
    task = lab.end_of(lab.start("Outer"))
    assert (task["result"]["inner"]["sum"], task["result"]["again"]["sum"]) == (3, 7)
    subtasks = list(lab.records.tasks.find({"parent": task["_id"]}))
    assert [subtask["status"] for subtask in subtasks] == ["COMPLETED", "COMPLETED"]
    assert all(subtask["pin"] == task["pin"] for subtask in subtasks)


def test_threads_and_processes_of_a_task_run_its_code_version(lab: Lab) -> None:
    assert lab.end_of(lab.start("Spawning"))["result"] == ["old", "old"]


def test_a_call_after_the_driver_was_replaced_goes_to_the_new_one(
    lab: Lab, make_children: Any, mongo_uri: str, fence: int
) -> None:
    children = make_children("")
    arguments = {"devices": ["furnace"], "mongo_uri": mongo_uri, "database": lab.records.database.name}
    first = children.ensure("first", OLD, "lab.drivers:main", arguments)
    second = children.ensure("second", OLD, "lab.drivers:main", arguments)
    for each in (first, second):
        each.call("connect", device="furnace")
    task_id = lab.start("Using")
    request = lab.request_of(task_id)
    first.kill()
    stale = {"address": first.address, "call": lambda *_args, **_kwargs: None}
    wait_for(lambda: lab.task(task_id)["status"] == "REQUESTING_RESOURCES")
    lab.grant(request, type("Gone", (), stale), fence)
    wait_for(lambda: lab.task(task_id)["status"] == "RUNNING")
    lab.grant(request, second, fence + 1)
    assert lab.end_of(task_id)["result"]["answer"] == "old"
    children.close()


def test_told_to_stop_it_lets_its_tasks_end_and_goes(
    lab: Lab, make_children: Any, mongo_uri: str, broker_url: str
) -> None:
    children = make_children(TASKS)
    name = f"{lab.records.database.name}_2"
    arguments = {"mongo_uri": mongo_uri, "database": lab.records.database.name, "broker_url": broker_url, "lab": name}
    worker = children.ensure("worker-bbb", OLD, "lab.worker:main", arguments)
    mine = {"instance": worker.instance}
    wait_for(lambda: lab.records.workers.find_one(mine))
    task_id = lab.add("Waiting")
    send(lab.broker, queue_name(name, OLD), "run_task", task_id, 1)
    wait_for(lambda: lab.task(task_id)["message"] == "waiting")
    stopper = threading.Thread(target=children.stop, args=("worker-bbb", 10.0))
    stopper.start()
    wait_for(lambda: lab.records.workers.find_one({**mine, "capacity": 0}))
    lab.records.tasks.update_one({"_id": task_id}, {"$set": {"cancel_requested": True}})
    stopper.join()
    assert lab.records.workers.find_one(mine) is None
    assert lab.task(task_id)["status"] == "CANCELLED"
    assert worker.process.returncode == 0


def test_a_task_records_and_reads_signals_and_keeps_what_it_logs(lab: Lab) -> None:
    lab.records.database["devices"].insert_one({"_id": "scale"})
    task = lab.end_of(lab.start("Measuring"))
    assert task["result"] == {"before": None, "latest": 4, "values": [3, 4], "logged": [{"spilled": [1, 2]}]}
    kept = TaskLogs(lab.records).of(task["_id"])
    assert [(each["kind"], each["level"], each["data"]) for each in kept] == [
        ("amount", 20, {"zinc_mg": 5}),
        ("note", 40, {"spilled": [1, 2]}),
    ]
    assert [(each["attempt"], each["snapshot"], each["commit"]) for each in kept] == [(1, OLD, "c0ffee")] * 2


def test_a_signal_of_no_device_is_refused(lab: Lab) -> None:
    task = lab.end_of(lab.start("Mismeasuring"))
    assert task["error"].startswith("DeviceError: There is no device 'skale', so its signal 'mass' is not recorded")
