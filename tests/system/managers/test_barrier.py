"""A barrier takes its ten steps in order, bars whom it should and nobody else, and can be undone until devices move."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from hotswap.cutover import NotCutOverError, Outcome, Refresh
from lab.managers.barrier import POLICY, BarrierManager
from lab.managers.barrier_gate import BarrierStep, active, barriers_of
from lab.records import Document, RequestStatus, TaskStatus, Want
from lab.refusals import ConflictError

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.system

OLD, NEW = "0" * 64, "1" * 64

STEPS = [str(step) for step in BarrierStep]


class Movers:
    """Devices that move when they are let."""

    def __init__(self) -> None:
        self.left: list[str] = []
        self.moving: dict[str, str] = {}

    def unsettled(self) -> list[str]:
        return self.left

    def running(self) -> dict[str, str]:
        return self.moving


class Guarded:
    """A lab with a barrier, and a refresh that wants one."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.movers = Movers()
        self.superseded = threading.Event()
        self.pool = ThreadPoolExecutor(4)
        self.refresh = wanted()
        self.timeout = 600.0
        self.manager = self.build()

    def build(self) -> BarrierManager:
        return BarrierManager(self.lab.records, self.lab.ground.bus, self.movers, self.timeout)

    def start(self) -> None:
        self.lab.ground.bus.subscribe("barriers", self.lab._changed.set)
        self.lab.start()
        self.manager.start()

    def stop(self) -> None:
        self.manager.halt()
        self.manager.stop()
        self.pool.shutdown()

    def go(self, refresh: Refresh | None = None, snapshot: str = OLD) -> Future[None]:
        """What a refresh does once its workers are ready."""
        return self.pool.submit(self._pass, refresh or self.refresh, snapshot)

    def _pass(self, refresh: Refresh, snapshot: str) -> None:
        with self.manager.around(refresh, snapshot, self.superseded.is_set):
            self.lab.promote(snapshot)

    def document(self, refresh: Refresh | None = None) -> Document:
        return dict(barriers_of(self.lab.database).find_one({"_id": (refresh or self.refresh).id}) or {})

    def reaches(self, step: BarrierStep) -> None:
        self.lab.until(lambda: self.document().get("step") == step)

    def blocked_by(self, what: str) -> None:
        self.lab.until(lambda: any(what in each["what"] for each in self.document().get("blockers", [])))

    def events(self) -> list[str]:
        found = self.lab.records.events.find({"kind": {"$regex": "^barrier"}}, sort=[("_id", 1)])
        return [event["kind"].removeprefix("barrier.") for event in found]


def wanted(trigger: str = "request") -> Refresh:
    return Refresh(actor="ada", trigger=trigger, facts={"cutover": POLICY})


def want(device: str) -> Want:
    return Want(key=device, kind="device", name=device, positions={})


@pytest.fixture
def guarded(lab: Lab) -> Iterator[Guarded]:
    lab.promote(NEW)
    lab.furnish()
    lab.add_worker()
    made = Guarded(lab)
    yield made
    made.stop()


def test_the_ten_steps_are_taken_in_order(guarded: Guarded) -> None:
    guarded.start()
    guarded.go().result(20)
    guarded.reaches(BarrierStep.LAUNCHING_RESUMED)
    guarded.lab.until(lambda: len(guarded.events()) == len(STEPS))
    document = guarded.document()
    assert guarded.events() == STEPS
    assert [each["step"] for each in document["steps"]] == STEPS
    assert (document["outcome"], active(guarded.lab.database)) == ("done", None)


def test_nothing_is_launched_until_the_end(guarded: Guarded) -> None:
    lab = guarded.lab
    running = lab.running_task()
    guarded.start()
    passing = guarded.go()
    guarded.blocked_by("is RUNNING")
    [later] = lab.submit([])
    lab.until(lambda: lab.task(later)["status"] == TaskStatus.READY)
    lab.add_worker(OLD)
    lab.end(running)
    passing.result(20)
    task = lab.becomes(later, TaskStatus.INITIATED)
    assert task["pin"] is not None
    assert task["pin"]["snapshot"] == OLD


def test_a_task_at_work_gets_what_it_asks_for_and_another_does_not(guarded: Guarded) -> None:
    lab = guarded.lab
    inside = lab.running_task()
    guarded.start()
    passing = guarded.go()
    guarded.blocked_by("is RUNNING")
    outside = lab.running_task()
    barred = lab.request(outside, want("arm"))
    lab.until(lambda: "barrier" in (lab.asked(barred)["waits_for"] or ""))
    nested = lab.request(inside, want("furnace_1"))
    lab.reaches(nested, RequestStatus.FULFILLED)
    lab.end(inside)
    lab.reaches(nested, RequestStatus.RELEASED)
    assert lab.asked(barred)["status"] == RequestStatus.PENDING
    lab.end(outside)
    passing.result(20)


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (TaskStatus.INITIATED, "is INITIATED"),
        (TaskStatus.REQUESTING_RESOURCES, "is REQUESTING_RESOURCES"),
        (TaskStatus.FINISHING, "is FINISHING"),
    ],
)
def test_whatever_is_on_its_way_counts_as_running(guarded: Guarded, status: TaskStatus, says: str) -> None:
    lab = guarded.lab
    task = lab.running_task()
    fields: dict[str, Any] = {"status": status, "sent_at": None}
    lab.records.tasks.update_one({"_id": task}, {"$set": fields})
    guarded.start()
    passing = guarded.go()
    guarded.blocked_by(says)
    lab.end(task)
    passing.result(20)


def test_a_task_that_waits_for_resources_mid_run_is_named_with_what_it_waits_for(guarded: Guarded) -> None:
    lab = guarded.lab
    holder, waiting = lab.running_task(), lab.running_task()
    guarded.start()
    held = lab.request(holder, want("arm"))
    lab.reaches(held, RequestStatus.FULFILLED)
    lab.request(waiting, want("arm"))
    passing = guarded.go()
    guarded.blocked_by("waits for resources (No arm can be granted: arm is held by")
    lab.end(holder)
    guarded.blocked_by("is RUNNING, holding arm")
    lab.end(waiting)
    passing.result(20)


def test_a_lost_task_that_holds_a_device_is_waited_for_and_may_be_retried(guarded: Guarded) -> None:
    lab = guarded.lab
    task = lab.running_task()
    guarded.start()
    lab.reaches(lab.request(task, want("arm")), RequestStatus.FULFILLED)
    passing = guarded.go()
    guarded.blocked_by("holding arm")
    lab.records.tasks.update_one({"_id": task}, {"$set": {"status": TaskStatus.LOST, "claim": None}})
    guarded.blocked_by("is LOST; retry or cancel it, holding arm")
    lab.end(task, TaskStatus.CANCELLED)
    passing.result(20)


def test_a_device_that_runs_by_itself_is_waited_for(guarded: Guarded) -> None:
    guarded.movers.moving = {"furnace_1": "is running"}
    guarded.start()
    passing = guarded.go()
    guarded.blocked_by("is running")
    guarded.movers.moving = {}
    passing.result(20)


def test_it_waits_for_every_device_to_be_disconnected_and_connected(guarded: Guarded) -> None:
    guarded.movers.left = ["arm"]
    guarded.start()
    passing = guarded.go()
    guarded.reaches(BarrierStep.QUIET)
    assert not passing.done()
    guarded.movers.left = []
    passing.result(20)
    guarded.reaches(BarrierStep.LAUNCHING_RESUMED)


def test_a_timeout_undoes_it_and_names_who_blocks(guarded: Guarded) -> None:
    lab = guarded.lab
    task = lab.running_task()
    guarded.manager._timeout = 0.1
    guarded.start()
    with pytest.raises(NotCutOverError, match=f"blocked by Heating {task} is RUNNING since") as undone:
        guarded.go().result(20)
    assert undone.value.outcome is Outcome.UNDONE
    current = lab.ground.generations.current()
    assert current is not None
    assert current.snapshot == NEW
    [later] = lab.submit([])
    lab.becomes(later, TaskStatus.INITIATED)


def test_devices_that_do_not_connect_in_time_are_left_behind(guarded: Guarded) -> None:
    passing = guarded.pool.submit(_promote_with, guarded, ["arm"])
    guarded.start()
    passing.result(20)
    guarded.reaches(BarrierStep.PROMOTED)
    guarded.manager._timeout = 0.0
    guarded.manager.wake()
    guarded.reaches(BarrierStep.LAUNCHING_RESUMED)
    assert guarded.document()["left"] == ["arm"]


def _promote_with(guarded: Guarded, left: list[str]) -> None:
    with guarded.manager.around(guarded.refresh, OLD, lambda: False):
        guarded.movers.left = left
        guarded.lab.promote(OLD)


def test_it_is_cancelled_while_it_waits(guarded: Guarded) -> None:
    lab = guarded.lab
    lab.running_task()
    guarded.start()
    passing = guarded.go()
    guarded.blocked_by("is RUNNING")
    assert guarded.manager.cancel("grace")["outcome"] == "undone"
    with pytest.raises(NotCutOverError, match="grace cancelled it"):
        passing.result(20)
    [later] = lab.submit([])
    lab.becomes(later, TaskStatus.INITIATED)


def test_it_is_not_cancelled_once_devices_move(guarded: Guarded) -> None:
    guarded.movers.left = ["arm"]
    guarded.start()
    passing = guarded.go()
    guarded.reaches(BarrierStep.QUIET)
    with pytest.raises(ConflictError, match="has begun to disconnect"):
        guarded.manager.cancel("grace")
    guarded.movers.left = []
    passing.result(20)


def test_there_is_nothing_to_cancel_without_one(guarded: Guarded) -> None:
    with pytest.raises(ConflictError, match="No barrier is under way"):
        guarded.manager.cancel("grace")


def test_a_newer_refresh_takes_the_place_of_one_that_waits(guarded: Guarded) -> None:
    task = guarded.lab.running_task()
    guarded.start()
    first = guarded.go()
    guarded.blocked_by("is RUNNING")
    newer = wanted("rollback")
    second = guarded.go(newer)
    with pytest.raises(NotCutOverError) as superseded:
        first.result(20)
    assert superseded.value.outcome is Outcome.SUPERSEDED
    guarded.lab.end(task)
    second.result(20)
    guarded.lab.until(lambda: guarded.document(newer)["outcome"] == "done")


def test_it_gives_way_when_a_newer_refresh_waits_for_its_turn(guarded: Guarded) -> None:
    guarded.lab.running_task()
    guarded.start()
    passing = guarded.go()
    guarded.blocked_by("is RUNNING")
    guarded.superseded.set()
    with pytest.raises(NotCutOverError) as superseded:
        passing.result(20)
    assert superseded.value.outcome is Outcome.SUPERSEDED
    assert active(guarded.lab.database) is None


def test_one_whose_devices_move_waits_for_them_though_a_newer_refresh_waits_too(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited, pause = threading.Event(), guarded.manager._pause

    def wait(superseded: Callable[[], bool]) -> None:
        waited.set()
        pause(superseded)

    monkeypatch.setattr(guarded.manager, "_pause", wait)
    guarded.movers.left = ["arm"]
    guarded.start()
    passing = guarded.go()
    guarded.reaches(BarrierStep.QUIET)
    guarded.superseded.set()
    for _ in range(3):  # the first of them may have begun before
        waited.clear()
        assert waited.wait(10)
    guarded.movers.left = []
    passing.result(20)


def test_a_rolling_refresh_waits_for_the_end_of_one_whose_devices_move(guarded: Guarded) -> None:
    guarded.movers.left = ["arm"]
    guarded.start()
    first = guarded.go()
    guarded.reaches(BarrierStep.QUIET)
    rolling = guarded.go(Refresh(actor="ada", trigger="commit", facts={"cutover": "rolling"}), NEW)
    guarded.movers.left = []
    first.result(20)
    rolling.result(20)
    assert guarded.document()["outcome"] == "done"


def test_the_very_first_code_needs_none(lab: Lab) -> None:
    made = Guarded(lab)
    made.start()
    made.go(snapshot=NEW).result(20)
    assert made.document() == {}
    made.stop()


def _interrupted_at(guarded: Guarded, step: BarrierStep, *, promoted: bool) -> None:
    """The documents as a crash of the managers leaves them at a step."""
    reached = STEPS[: step.number]
    barriers_of(guarded.lab.database).insert_one(
        {
            "_id": guarded.refresh.id, "snapshot": OLD, "follows": 1, "actor": "ada", "step": str(step),
            "steps": [{"step": name} for name in reached], "admitted": [], "blockers": [], "left": [],
            "outcome": None, "reason": None,
        }
    )  # fmt: skip
    if promoted:
        guarded.lab.promote(OLD)


@pytest.mark.parametrize("step", list(BarrierStep)[:5])
def test_a_crash_before_the_promotion_undoes_it(guarded: Guarded, step: BarrierStep) -> None:
    _interrupted_at(guarded, step, promoted=False)
    guarded.start()
    guarded.lab.until(lambda: guarded.document()["outcome"] == "undone")
    assert guarded.document()["step"] == step
    [later] = guarded.lab.submit([])
    guarded.lab.becomes(later, TaskStatus.INITIATED)


@pytest.mark.parametrize("step", list(BarrierStep)[4:9])
def test_a_crash_after_the_promotion_is_gone_on_from(guarded: Guarded, step: BarrierStep) -> None:
    _interrupted_at(guarded, step, promoted=True)
    guarded.lab.add_worker(OLD)
    guarded.start()
    guarded.lab.until(lambda: guarded.document()["outcome"] == "done")
    assert [each["step"] for each in guarded.document()["steps"]] == STEPS
    [later] = guarded.lab.submit([])
    guarded.lab.becomes(later, TaskStatus.INITIATED)


def test_who_waits_for_it_is_told_when_the_managers_end(guarded: Guarded) -> None:
    guarded.lab.running_task()
    guarded.start()
    passing = guarded.go()
    guarded.blocked_by("is RUNNING")
    guarded.manager.halt()
    with pytest.raises(NotCutOverError) as ended:
        passing.result(20)
    assert ended.value.outcome is Outcome.INTERRUPTED


def test_a_task_that_is_sent_at_the_very_moment_a_barrier_begins_is_taken_back(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = guarded.lab
    tasks = lab.new_backend._tasks
    really: Callable[..., bool] = tasks._initiate

    def initiate(*arguments: Any) -> bool:
        _interrupted_at(guarded, BarrierStep.LAUNCHING_STOPPED, promoted=False)
        return really(*arguments)

    monkeypatch.setattr(tasks, "_initiate", initiate)
    [task] = lab.submit([])
    lab.records.tasks.update_one(
        {"_id": task}, {"$set": {"status": TaskStatus.READY, "ready_at": lab.task(task)["created_at"]}}
    )
    tasks.reconcile()
    assert lab.task(task)["status"] == TaskStatus.READY
    assert lab.sent.empty()
