"""Generations, pins, bindings and both cutovers against a model of a few dicts: in whatever order, with crashes."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from typing import Any, ClassVar

import pytest
from cutover_fate import Crash, Fate
from cutover_lab import DRIVERS, NUMBERS, SNAPSHOTS, CutoverLab
from cutover_model import PHASES, Known, Model
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from pymongo import MongoClient

from hotswap.generations import SnapshotState
from lab.managers.barrier_gate import BarrierStep, active
from lab.managers.workers import lose
from lab.records import (
    NEEDING,
    DeviceState,
    Document,
    Experiment,
    ExperimentStatus,
    Request,
    RequestStatus,
    TaskStatus,
    Want,
    new_id,
    new_task,
    now,
)
from lab.refusals import ConflictError, SubmissionError

pytestmark = pytest.mark.system

DEVICES = ("furnace", "oven", "arm", "balance")
EVERY = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True, database=None)
versions = st.integers(0, len(DRIVERS) - 1)
devices = st.sampled_from(DEVICES)
managers = st.sampled_from(["dispatch", "grant", "move_devices", "advance", "retire"])
points = st.integers(0, 12)
QUIET = [str(step) for step in BarrierStep if BarrierStep.QUIET.number <= step.number <= BarrierStep.CONNECTED.number]


class CutoverMachine(RuleBasedStateMachine):
    """The managers are the product's; only drivers, workers and templates are played."""

    clients: ClassVar[list[MongoClient[Document]]] = []
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.fate = Fate()
        self.watching = self.fate.watching()
        self.watching.__enter__()
        self.database = self.clients[0][f"machine_{uuid.uuid4().hex[:12]}"]
        self.lab = CutoverLab(self.database, self.fate)
        self.records = self.lab.records
        experiment = {"_id": "e", "status": ExperimentStatus.RUNNING, "tasks": []}
        self.records.experiments.insert_one(Experiment(**experiment))  # type: ignore[typeddict-item]
        self.model = Model()
        self.superseded: list[tuple[int, set[str]]] = []
        self.fate.written = self.note_promotion
        self.refresh(0, barrier=False)
        self.lab.settle()

    def note_promotion(self, collection: str) -> None:
        """Who was sent before it may have the code before it, and nobody else."""
        if collection == "current_generation":
            sent = {task["_id"] for task in self.records.tasks.find({"status": TaskStatus.INITIATED}, {"_id": 1})}
            self.superseded.append((self.model.live[-1] if self.model.live else -1, sent))
            self.note_generations()

    def note_generations(self) -> None:
        found = [NUMBERS[each.snapshot] for each in reversed(self.lab.generations.history(1000))]
        known = len(self.model.live)
        assert found[:known] == self.model.live
        assert len(found) <= known + 1
        assert set(found[known:]) <= set(self.model.wanted)
        self.model.live = found

    # -- code ----------------------------------------------------------------------------------------------------

    @rule(version=versions, barrier=st.booleans())
    def refresh(self, version: int, barrier: bool) -> None:
        self.model.wanted.append(version)
        self.lab.begin(lambda line, new, late: line.run(_at(new, version), late), barrier=barrier)

    @rule(data=st.data(), barrier=st.booleans())
    def roll_back(self, data: st.DataObject, barrier: bool) -> None:
        to = data.draw(st.integers(1, len(self.model.live)))
        self.model.wanted.append(self.model.live[to - 1])
        self.lab.begin(lambda line, new, _: line.roll_back(new, to), barrier=barrier)

    @precondition(lambda self: active(self.database))
    @rule()
    def cancel_barrier(self) -> None:
        document = active(self.database)
        assert document is not None
        early = BarrierStep(document["step"]).number <= BarrierStep.DEVICES_PAUSED.number
        try:
            self.lab.barrier.cancel("ada")
            assert early
        except ConflictError:
            assert not early

    # -- work ----------------------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(["Heating", "Dosing"]), ready=st.booleans())
    def submit(self, kind: str, ready: bool) -> None:
        task = new_task(kind, {}, samples=[], experiment="e")
        if ready:
            task.update(status=TaskStatus.READY, ready_at=now())
        self.records.tasks.insert_one(task)
        self.model.tasks[task["_id"]] = Known(kind)

    @rule()
    def make_ready(self) -> None:
        change = {"$set": {"status": TaskStatus.READY, "ready_at": now()}}
        self.records.tasks.update_many({"status": TaskStatus.WAITING}, change)

    @precondition(lambda self: self.lab.sent)
    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        """A worker gets a hint; it may be late, and it may come again."""
        queue, task, attempt = data.draw(st.sampled_from(self.lab.sent))
        known = self.model.tasks[task]
        mine = known.phase == "sent" and (known.pin, known.attempt) == (NUMBERS[queue], attempt)
        assert self.lab.claim(queue, task, attempt) == mine
        if mine:
            known.phase = "running"

    @precondition(lambda self: self.model.among("running"))
    @rule(data=st.data(), device=devices, nested=st.booleans())
    def request(self, data: st.DataObject, device: str, nested: bool) -> None:
        task = data.draw(st.sampled_from(self.model.among("running")))
        found = self.records.tasks.find_one({"_id": task})
        assert found is not None
        assert found["pin"] is not None
        self.records.requests.insert_one(
            Request(
                _id=new_id(),
                task=task,
                attempt=found["attempt"],
                snapshot=found["pin"]["snapshot"],
                wants=[Want(key=device, kind="device", name=device, positions={"slot": 1} if nested else {})],
                priority=20,
                status=RequestStatus.PENDING,
                created_at=now(),
                grant=None,
                waits_for=None,
                error=None,
            )
        )

    @rule()
    def give_back(self) -> None:
        held = self.records.requests.find_one({"status": RequestStatus.FULFILLED}, sort=[("_id", 1)])
        if held is not None:
            mine = {"_id": held["_id"], "status": RequestStatus.FULFILLED}
            self.records.requests.update_one(mine, {"$set": {"status": RequestStatus.NEED_RELEASE}})

    @precondition(lambda self: self.model.among("running"))
    @rule(data=st.data(), how=st.sampled_from([TaskStatus.COMPLETED, TaskStatus.ERROR, TaskStatus.LOST]))
    def end(self, data: st.DataObject, how: TaskStatus) -> None:
        task = data.draw(st.sampled_from(self.model.among("running")))
        if how is TaskStatus.LOST:
            found = self.records.tasks.find_one({"_id": task})
            assert found is not None
            lose(self.records, found)
        else:
            self.records.tasks.update_one({"_id": task}, {"$set": {"status": how, "ended_at": now()}})
        self.model.tasks[task].phase = PHASES[how]

    @precondition(lambda self: self.model.among("lost"))
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self.model.among("lost")))
        self.lab.commands.retry(task, "ada")
        self.model.tasks[task].phase = "queued"

    @precondition(lambda self: self.model.among("queued", "lost"))
    @rule(data=st.data(), version=versions)
    def move(self, data: st.DataObject, version: int) -> None:
        task = data.draw(st.sampled_from(self.model.among("queued", "lost")))
        known = self.model.tasks[task]
        if version not in self.model.live:
            return
        try:
            self.lab.unstarted.move_task(task, SNAPSHOTS[version].id, "ada")
        except SubmissionError:
            assert (known.kind, version) == ("Dosing", 3)
        except ConflictError:
            held = self.records.devices.find({"holder": task})
            assert [d for d in held if d["binding"]["digest"] != DRIVERS[version].get(d["_id"])]  # type: ignore[index]
        else:
            known.phase, known.pin = "queued", version

    # -- devices -------------------------------------------------------------------------------------------------

    @rule(device=devices)
    def pause_or_release(self, device: str) -> None:
        if self.records.devices.find_one({"_id": device}) is None:
            return
        if device in self.model.paused:
            self.lab.devices.release(device)
        else:
            self.lab.devices.pause(device)
        self.model.paused ^= {device}

    # -- managers ------------------------------------------------------------------------------------------------

    @rule(name=managers)
    def step(self, name: str) -> None:
        self.lab.step(name)

    @rule(outer=managers, point=points, data=st.data())
    def step_meanwhile(self, outer: str, point: int, data: st.DataObject) -> None:
        """While one manager is at it, another one runs, or new code goes live."""
        inner = data.draw(managers.filter(lambda name: name != outer) | versions)
        if isinstance(inner, int):
            self.fate.meanwhile(point, lambda: self.refresh(inner, barrier=False))
        else:
            self.fate.meanwhile(point, lambda: self.lab.step(inner))
        self.lab.step(outer)
        self.fate.survived()

    @rule(name=managers | versions, point=points, done=st.booleans())
    def crash(self, name: str | int, point: int, done: bool) -> None:
        """The managers die at some point of what they do, and others take their place."""
        self.fate.crash(point, done=done)
        try:
            if isinstance(name, int):
                self.refresh(name, barrier=False)
            else:
                self.lab.step(name)
        except Crash:
            self.lab.crashed()
            self.note_generations()
            self.lab.start()
            self.lab.settle()
        self.fate.survived()

    @rule()
    def settle(self) -> None:
        self.lab.settle()
        if not self.lab.is_refreshing():
            self.check_all_is_done()

    def check_all_is_done(self) -> None:
        """When all have had their turn, and no refresh is under way."""
        self.lab.settle()
        self.note_tasks()
        if not self.lab.is_refreshing():
            self.check_tasks_are_sent()
            self.check_devices_are_as_current_code_wants_them()
            self.check_nothing_old_is_kept()
            self.check_what_is_free_is_granted()

    # -- what must hold ------------------------------------------------------------------------------------------

    @invariant()
    def one_whole_generation_is_current(self) -> None:
        CutoverMachine.steps += 1
        self.note_generations()
        current = self.lab.generations.current()
        assert current is not None
        assert current.number == len(self.model.live)

    @invariant()
    def each_task_has_the_code_it_is_pinned_to(self) -> None:
        self.note_tasks()
        self.superseded.clear()

    def note_tasks(self) -> None:
        for task in self.records.tasks.find():
            known, pin = self.model.tasks[task["_id"]], task["pin"]
            phase = PHASES[TaskStatus(task["status"])]
            version = None if pin is None else NUMBERS[pin["snapshot"]]
            if (known.phase, phase) == ("queued", "sent"):
                assert version in self.may_be_sent_with(task["_id"], known), task
                known.phase, known.pin, known.attempt = phase, version, known.attempt + 1
            assert (known.phase, known.pin, known.attempt) == (phase, version, task["attempt"])

    def may_be_sent_with(self, task: str, known: Known) -> set[int]:
        if known.pin is not None:
            return {known.pin}
        return {self.model.live[-1], *(version for version, sent in self.superseded if task in sent)}

    @invariant()
    def devices_and_drivers_agree(self) -> None:
        assert self.lab.hardware.violations == []
        for device in self.records.devices.find():
            name, binding = device["_id"], device["binding"]
            assert device["paused"] == (name in self.model.paused)
            assert device["fence"] >= self.model.fences.get(name, 0)
            self.model.fences[name] = device["fence"]
            assert (device["state"] == DeviceState.GRANTED) == (device["holder"] is not None)
            if device["state"] in (DeviceState.FREE, DeviceState.GRANTED):
                assert binding is not None
                (process,) = self.lab.hardware.of(name)
                digest = DRIVERS[NUMBERS[binding["snapshot"]]][name]
                assert (binding["process"], binding["digest"]) == (process.name, digest)
                assert process.digests[name] == digest

    @invariant()
    def each_grant_is_of_the_driver_that_the_code_of_its_task_has(self) -> None:
        for request in self.records.requests.find({"status": RequestStatus.FULFILLED}):
            assert request["grant"] is not None
            for entry in request["grant"]["devices"]:
                device = self.records.devices.find_one({"_id": entry["device"]})
                assert device is not None
                assert device["holder"] == request["task"]
                (process,) = self.lab.hardware.of(entry["device"])
                assert process.digests[entry["device"]] == DRIVERS[NUMBERS[request["snapshot"]]][entry["device"]]

    @invariant()
    def behind_a_barrier_nothing_is_at_work(self) -> None:
        document = active(self.database)
        if document is not None and document["step"] in QUIET:
            assert self.model.among("sent", "running") == []
            assert self.records.devices.find_one({"holder": {"$ne": None}}) is None

    @invariant()
    def what_is_referred_to_is_not_given_up(self) -> None:
        references = self.references()
        for record in self.lab.generations.states.all():
            number = NUMBERS[record.snapshot]
            if number == self.model.live[-1]:
                assert record.state is SnapshotState.CURRENT
            elif number in references:
                assert record.state is SnapshotState.DRAINING, number

    def references(self) -> set[int]:
        bound = self.records.devices.distinct("binding.snapshot", {"binding": {"$ne": None}})
        moving = self.records.devices.distinct("rebind_to", {"rebind_to": {"$ne": None}})
        return self.needed_by(NEEDING) | {NUMBERS[snapshot] for snapshot in (*bound, *moving)}

    # -- what must hold once all have had their turn -------------------------------------------------------------

    def check_tasks_are_sent(self) -> None:
        for task in self.records.tasks.find({"status": TaskStatus.READY}):
            known = self.model.tasks[task["_id"]]
            version = self.model.live[-1] if known.pin is None else known.pin
            assert (known.kind, version) == ("Dosing", 3), task

    def check_devices_are_as_current_code_wants_them(self) -> None:
        """Unless a person or a task has one of those with the same handle, or somebody asks for it."""
        if self.records.requests.count_documents({"status": RequestStatus.PENDING}):
            return
        current = DRIVERS[self.model.live[-1]]
        needed = set(current).union(*(DRIVERS[each] for each in self.needed_by(set(NEEDING) - {TaskStatus.WAITING})))
        known = needed.union(*(DRIVERS[each] for each in self.needed_by(NEEDING)))
        found = {device["_id"]: device for device in self.records.devices.find()}
        for name in current:
            together = ("furnace", "oven") if name in ("furnace", "oven") else (name,)
            if all(found[each]["state"] == DeviceState.FREE and not found[each]["paused"] for each in together):
                assert found[name]["binding"]["digest"] == current[name]
        for name, device in found.items():
            assert device["state"] != DeviceState.REBINDING, device
            if device["state"] == DeviceState.RETIRED:
                assert name not in needed  # those of a task that waits may come back when it is ready
            elif name not in known:
                assert device["holder"] is not None or device["paused"], device

    def check_what_is_free_is_granted(self) -> None:
        pending = list(self.records.requests.find({"status": RequestStatus.PENDING}))
        free = self.records.devices.count_documents({"state": {"$ne": DeviceState.RETIRED}, "holder": None})
        if len(pending) == 1 and free == self.records.devices.count_documents({"state": {"$ne": DeviceState.RETIRED}}):
            assert self.model.paused, pending

    def needed_by(self, statuses: Collection[TaskStatus]) -> set[int]:
        """The versions that tasks in these statuses are pinned to."""
        pinned: dict[str, Any] = {"status": {"$in": list(statuses)}, "pin": {"$ne": None}}
        return {NUMBERS[snapshot] for snapshot in self.records.tasks.distinct("pin.snapshot", pinned)}

    def check_nothing_old_is_kept(self) -> None:
        references = self.references()
        for record in self.lab.generations.states.all():
            number = NUMBERS[record.snapshot]
            if number != self.model.live[-1] and number not in references and number in self.model.live:
                # One that was proposed again, in vain, is staged.
                assert record.state in (SnapshotState.DRAINED, SnapshotState.STAGED), number

    def teardown(self) -> None:
        try:
            self.check_the_lab_comes_to_rest()
        finally:
            self.lab.close()
            self.watching.__exit__(None, None, None)
            self.clients[0].drop_database(self.database.name)

    def check_the_lab_comes_to_rest(self) -> None:
        """With all work ended and all devices released nothing is barred, held, paused or kept."""
        for device in sorted(self.model.paused):
            self.pause_or_release(device)
        for task in self.model.among("queued", "sent", "running", "lost"):
            ended = {"status": TaskStatus.CANCELLED, "ended_at": now()}
            self.records.tasks.update_one({"_id": task}, {"$set": ended})
            self.model.tasks[task].phase = "ended"
        self.lab.settle(8)
        assert not self.lab.is_refreshing()
        assert self.records.devices.count_documents({"holder": {"$ne": None}}) == 0
        self.check_all_is_done()


def _at(refresh: Any, version: int) -> Any:
    refresh.rev = str(version)
    return refresh


@pytest.fixture(autouse=True)
def server(mongo_uri: str) -> Iterator[None]:
    with MongoClient[Document](mongo_uri, tz_aware=True) as client:
        CutoverMachine.clients[:], CutoverMachine.steps = [client], 0
        yield


@pytest.mark.timeout(300)
def test_generations_pins_and_bindings_are_what_the_model_says() -> None:
    few = settings(EVERY, max_examples=10, stateful_step_count=30, derandomize=True, phases=[Phase.generate])
    run_state_machine_as_test(CutoverMachine, settings=few)
    assert CutoverMachine.steps > 50


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_generations_pins_and_bindings_are_what_the_model_says_in_many_runs() -> None:
    many = settings(EVERY, max_examples=200, stateful_step_count=50)
    run_state_machine_as_test(CutoverMachine, settings=many)
    assert CutoverMachine.steps > 2000
