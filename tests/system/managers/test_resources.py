"""Granting devices and places on a real database, with a driver that notes every broken rule."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from pymongo.errors import AutoReconnect

from lab.managers.grants import Granter
from lab.managers.resources import ResourceManager
from lab.records import DeviceState, Grant, GrantedDevice, Request, RequestStatus, TaskStatus, Want
from lab.server.views import deadlocks

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.system

OLD, NEW = "0" * 64, "1" * 64
FURNACE = "my_lab:Furnace"


@pytest.fixture
def furnished(lab: Lab) -> Lab:
    lab.promote(NEW)
    lab.add_worker()
    lab.furnish()
    return lab


@pytest.fixture
def started(furnished: Lab) -> Lab:
    furnished.start()
    return furnished


def want(name: str, **positions: int) -> Want:
    return Want(key=name, kind="class" if ":" in name else "device", name=name, positions=positions)


def granted(lab: Lab, request: str) -> list[GrantedDevice]:
    grant = lab.reaches(request, RequestStatus.FULFILLED)["grant"]
    assert grant is not None
    return grant["devices"]


def test_a_grant_is_complete_when_the_driver_has_acknowledged_it(started: Lab) -> None:
    task = started.running_task()
    (device,) = granted(started, started.request(task, want("arm")))
    assert (device["device"], device["fence"], device["digest"]) == ("arm", 1, "new")
    assert started.driver.granted == {"arm": (1, task)}
    held = started.device("arm")
    assert (held["state"], held["holder"], held["fence"]) == (DeviceState.GRANTED, task, 1)


def test_places_are_held_with_their_device_and_given_back(started: Lab) -> None:
    task = started.running_task()
    request = started.request(task, want(FURNACE, slot=2))
    granted(started, request)
    grant = started.asked(request)["grant"]
    assert grant is not None
    assert grant["positions"] == {FURNACE: {"slot": ["furnace_1/slot/1", "furnace_1/slot/2"]}}
    assert started.records.positions.count_documents({"holder": task}) == 2
    started.give_back(request)
    started.reaches(request, RequestStatus.RELEASED)
    assert started.records.positions.count_documents({"holder": None, "request": None}) == 4
    assert started.driver.granted == {}


def test_a_release_wakes_the_most_urgent_then_the_oldest(started: Lab) -> None:
    first = started.request(started.running_task(), want("arm"))
    granted(started, first)
    late = started.request(started.running_task(), want("arm"))
    later = started.request(started.running_task(), want("arm"))
    urgent = started.request(started.running_task(), want("arm"), priority=30)
    before = first
    for expected in (urgent, late, later):
        started.give_back(before)
        granted(started, expected)
        before = expected
    assert started.driver.violations == []


def test_a_waiting_request_says_what_it_lacks(started: Lab) -> None:
    holder = started.running_task()
    granted(started, started.request(holder, want("arm")))
    waiting = started.request(started.running_task(), want("arm"))
    reason = started.until(lambda: started.asked(waiting)["waits_for"])
    assert f"arm is held by task {holder}" in reason


def crossed(lab: Lab) -> tuple[str, str, str, str]:
    """Two tasks that hold what the other asks for, and their requests for it."""
    one, two = lab.running_task(), lab.running_task()
    granted(lab, lab.request(one, want("furnace_1")))
    granted(lab, lab.request(two, want("arm")))
    return one, two, lab.request(one, want("arm")), lab.request(two, want("furnace_1"))


def test_tasks_that_wait_for_each_other_are_told_of(started: Lab) -> None:
    one, two, first, second = crossed(started)
    started.until(lambda: started.asked(first).get("deadlock") and started.asked(second).get("deadlock"))
    told = started.until(lambda: (words := started.asked(first)["waits_for"] or "").startswith("This is") and words)
    assert told == (
        f"This is a deadlock: it waits for arm, held by task {two}, which waits for furnace_1, held by this task."
    )
    (event,) = started.records.events.find({"kind": "deadlock.found"})
    assert set(event["facts"]["tasks"]) == {one, two}
    (shown,) = deadlocks(started.records)
    assert {request["task"] for request in shown["requests"]} == {one, two}


def test_a_deadlock_is_over_when_one_of_its_tasks_ends(started: Lab) -> None:
    _, two, first, _ = crossed(started)
    started.until(lambda: started.asked(first).get("deadlock"))
    started.end(two, TaskStatus.CANCELLED)
    granted(started, first)
    started.until(lambda: deadlocks(started.records) == [])


def swapped(lab: Lab) -> list[str]:
    """The requests of two tasks, the sample of each where the other wants to put its own; a third is at work on one."""
    places = ("furnace_1/slot/1", "furnace_2/slot/1")
    tasks = [lab.running_task() for _ in range(3)]
    for task, sample in zip(tasks, ("s1", "s2", "s2"), strict=True):
        lab.records.tasks.update_one({"_id": task}, {"$set": {"samples": [sample]}})
    for sample, place in zip(("s1", "s2"), places, strict=True):
        lab.records.database["samples"].insert_one({"_id": sample, "name": sample, "position": place})
    wants = [Want(key="places", kind="none", name=None, positions={place: 1}) for place in reversed(places)]
    return [tasks[2], *(lab.request(task, want) for task, want in zip(tasks, wants, strict=False))]


def test_a_deadlock_that_a_task_at_work_was_to_prevent_is_told_of_when_that_ends(started: Lab) -> None:
    third, *requests = swapped(started)
    for request in requests:
        started.until(lambda request=request: started.asked(request)["waits_for"])
    assert deadlocks(started.records) == []
    started.end(third, TaskStatus.CANCELLED)
    started.until(lambda: all(started.asked(request).get("deadlock") for request in requests))


@pytest.mark.parametrize("lab", ["fail_youngest"], indirect=True)
def test_the_youngest_request_of_a_deadlock_fails_where_that_is_wanted(started: Lab) -> None:
    _, two, first, second = crossed(started)
    error = started.reaches(second, RequestStatus.ERROR)["error"] or ""
    assert error.startswith("This is a deadlock: it waits for furnace_1, held by task")
    assert error.endswith("It was refused as the youngest of them.")
    started.end(two, TaskStatus.ERROR)
    granted(started, first)


def test_the_same_tasks_in_another_deadlock_are_told_of_again(started: Lab) -> None:
    one, two, first, second = crossed(started)
    started.until(lambda: started.asked(second).get("deadlock"))
    started.stop()
    started.records.requests.update_one({"_id": second}, {"$set": {"status": RequestStatus.CANCELLED}})
    manager = ResourceManager(
        started.records, started.ground.catalog, started.ground.bus, started._links, lambda _: None
    )
    again = [started.request(two, want("furnace_1"))]
    manager.reconcile()
    assert started.asked(again[0])["deadlock"] == sorted([one, two])
    started.records.requests.update_one({"_id": again[0]}, {"$set": {"status": RequestStatus.CANCELLED}})
    again.append(started.request(two, want("furnace_1")))
    manager.reread()
    manager.reconcile()
    assert started.asked(again[1]).get("deadlock") == started.asked(first)["deadlock"] == sorted([one, two])


def test_those_behind_are_told_who_has_it_now(started: Lab) -> None:
    first = started.request(started.running_task(), want("arm"))
    granted(started, first)
    next_task = started.running_task()
    second = started.request(next_task, want("arm"))
    behind = [started.request(started.running_task(), want("arm")) for _ in range(3)]
    started.give_back(first)
    granted(started, second)
    for request in behind:
        started.until(lambda request=request: f"by task {next_task}" in (started.asked(request)["waits_for"] or ""))


def test_a_device_knows_how_long_it_is_held_as_a_rule(started: Lab) -> None:
    request = started.request(started.running_task(), want("arm"))
    granted(started, request)
    started.give_back(request)
    started.reaches(request, RequestStatus.RELEASED)
    assert 0 <= started.device("arm")["typical_hold"] < 60


def test_a_nested_request_shares_what_the_task_holds(started: Lab) -> None:
    task = started.running_task()
    outer = started.request(task, want("furnace_1", slot=2))
    (device,) = granted(started, outer)
    inner = started.request(task, want(FURNACE, slot=1), want("arm"))
    shared = {each["device"]: each["fence"] for each in granted(started, inner)}
    assert shared == {"furnace_1": device["fence"], "arm": 1}
    started.give_back(inner)
    started.reaches(inner, RequestStatus.RELEASED)
    assert started.device("arm")["holder"] is None
    assert started.device("furnace_1")["holder"] == task
    assert started.driver.granted == {"furnace_1": (1, task)}
    started.give_back(outer)
    started.reaches(outer, RequestStatus.RELEASED)
    assert started.device("furnace_1")["holder"] is None


def test_when_one_driver_refuses_nothing_is_held(started: Lab) -> None:
    started.driver.refuse.add("furnace_1")
    request = started.request(started.running_task(), want("arm"), want("furnace_1", slot=1))
    started.until(lambda: ("revoke", "arm", 1) in started.driver.log)
    started.until(lambda: started.device("furnace_1")["holder"] is None)
    started.until(lambda: started.records.positions.count_documents({"holder": None}) == 4)
    assert started.asked(request)["status"] == RequestStatus.PENDING
    started.driver.refuse.clear()
    assert {each["device"] for each in granted(started, request)} == {"arm", "furnace_1"}
    assert started.driver.violations == []


def test_no_device_is_ever_granted_twice(started: Lab) -> None:
    requests = [
        started.request(started.running_task(), want(FURNACE, slot=1), *([want("arm")] if number % 3 else []))
        for number in range(12)
    ]
    left = set(requests)
    while left:
        held = started.until(lambda: [one for one in left if started.asked(one)["grant"] is not None])
        names = [each["device"] for one in held for each in granted(started, one)]
        assert len(names) == len(set(names))
        for one in held:
            started.give_back(one)
            started.reaches(one, RequestStatus.RELEASED)
            left.discard(one)
    assert started.driver.violations == []
    assert started.driver.granted == {}
    assert started.records.devices.count_documents({"holder": None, "state": DeviceState.FREE}) == 3


def test_what_the_code_does_not_define_is_refused(started: Lab) -> None:
    request = started.request(started.running_task(), want("my_lab:Oven"))
    assert "defines no device 'Oven'" in (started.reaches(request, RequestStatus.ERROR)["error"] or "")


def test_another_driver_is_asked_for_and_granted_once_it_is_there(started: Lab) -> None:
    started.records.devices.update_one({"_id": "arm"}, {"$set": {"binding.digest": "old"}})
    request = started.request(started.running_task(), want("arm"))
    assert started.devices.rebinds.get(timeout=20) == ("arm", NEW)
    assert started.asked(request)["status"] == RequestStatus.PENDING
    started.records.devices.update_one({"_id": "arm"}, {"$set": {"binding.digest": "new"}})
    granted(started, request)


def test_a_paused_device_is_granted_after_its_release(started: Lab) -> None:
    started.devices.pause("arm")
    request = started.request(started.running_task(), want("arm"))
    started.until(lambda: "is paused" in (started.asked(request)["waits_for"] or ""))
    started.devices.release("arm")
    granted(started, request)


def test_an_ended_task_keeps_nothing(started: Lab) -> None:
    task = started.running_task()
    held = started.request(task, want("arm"))
    granted(started, held)
    other = started.request(started.running_task(), want("arm"))
    started.end(task, TaskStatus.ERROR)
    granted(started, other)
    assert started.asked(held)["status"] == RequestStatus.RELEASED


def test_a_lost_task_keeps_its_devices_and_its_retry_takes_them_over(started: Lab) -> None:
    task = started.running_task()
    first = started.request(task, want("arm"))
    granted(started, first)
    started.records.tasks.update_one({"_id": task}, {"$set": {"status": TaskStatus.LOST, "claim": None}})
    other = started.request(started.running_task(), want("arm"))
    started.until(lambda: started.asked(other)["waits_for"])
    started.new_backend.commands.retry(task, "ann")
    running = {"status": TaskStatus.RUNNING, "attempt": 2, "claim": {"worker": "worker-1", "token": "t"}}
    started.records.tasks.update_one({"_id": task}, {"$set": running})
    second = started.request(task, want("arm"), attempt=2)
    (device,) = granted(started, second)
    assert device["fence"] == 3
    assert started.device("arm")["request"] == second
    started.give_back(second)
    granted(started, other)
    assert started.driver.violations == []


def test_a_request_of_a_dead_attempt_is_withdrawn(started: Lab) -> None:
    task = started.running_task()
    started.records.tasks.update_one({"_id": task}, {"$set": {"attempt": 2}})
    started.reaches(started.request(task, want("arm"), attempt=1), RequestStatus.CANCELLED)
    assert started.device("arm")["holder"] is None


def test_a_grant_that_a_crash_cut_short_is_completed_with_a_new_fence(furnished: Lab) -> None:
    task = furnished.running_task()
    request = furnished.request(task, want("arm"), want("furnace_1", slot=1))
    mine = {"holder": task, "request": request}
    furnished.records.devices.update_one({"_id": "arm"}, {"$set": {**mine, "state": DeviceState.GRANTED, "fence": 1}})
    furnished.records.positions.update_one({"_id": "furnace_1/slot/2"}, {"$set": mine})
    furnished.start()
    fences = {each["device"]: each["fence"] for each in granted(furnished, request)}
    assert fences == {"arm": 2, "furnace_1": 1}
    furnished.give_back(request)
    furnished.reaches(request, RequestStatus.RELEASED)
    assert furnished.records.positions.count_documents({"holder": None}) == 4


def test_what_a_crash_left_held_by_nobody_is_freed(furnished: Lab) -> None:
    task = furnished.running_task()
    request = furnished.request(task, want("arm"))
    furnished.records.requests.update_one({"_id": request}, {"$set": {"status": RequestStatus.CANCELLED}})
    mine = {"holder": task, "request": request}
    furnished.records.devices.update_one({"_id": "arm"}, {"$set": {**mine, "state": DeviceState.GRANTED}})
    furnished.records.positions.update_one({"_id": "furnace_1/slot/2"}, {"$set": mine})
    furnished.start()
    furnished.until(lambda: furnished.device("arm")["state"] == DeviceState.FREE)
    furnished.until(lambda: furnished.records.positions.count_documents({"holder": None}) == 4)


def test_a_request_withdrawn_while_the_database_was_gone_keeps_nothing(
    furnished: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_granter: Granter, request: Request, _grant: Grant) -> bool:
        withdrawn = {"$set": {"status": RequestStatus.CANCELLED}}
        furnished.records.requests.update_one({"_id": request["_id"]}, withdrawn)
        raise AutoReconnect("the connection broke")

    monkeypatch.setattr(Granter, "_fulfil", interrupted)
    furnished.start()
    furnished.request(furnished.running_task(), want("arm"), want("furnace_1", slot=1))
    furnished.until(lambda: ("grant", "arm", 1) in furnished.driver.log)
    furnished.until(lambda: furnished.records.devices.count_documents({"state": DeviceState.FREE}) == 3)
    furnished.until(lambda: furnished.records.positions.count_documents({"holder": None}) == 4)


def test_a_withdrawn_request_gives_its_device_back_when_the_driver_answers_again(started: Lab) -> None:
    granted(started, started.request(started.running_task(), want("furnace_1")))
    task = started.running_task()
    request = started.request(task, want("arm"), want("furnace_1"))
    half = {"state": DeviceState.GRANTED, "holder": task, "request": request}
    started.records.devices.update_one({"_id": "arm"}, {"$set": half})
    started.driver.hang = threading.Event()
    started.end(task, TaskStatus.ERROR)
    started.reaches(request, RequestStatus.CANCELLED)
    granted(started, started.request(started.running_task(), want("furnace_2")))  # later than the first try
    started.driver.hang.set()
    started.until(lambda: started.device("arm")["state"] == DeviceState.FREE)


def test_a_driver_that_hangs_keeps_its_device_until_it_answers(started: Lab) -> None:
    request = started.request(started.running_task(), want("arm"))
    granted(started, request)
    started.driver.hang = threading.Event()
    started.give_back(request)
    other = started.request(started.running_task(), want("furnace_1"))
    granted(started, other)
    assert started.asked(request)["status"] == RequestStatus.NEED_RELEASE
    assert started.device("arm")["state"] == DeviceState.GRANTED
    started.driver.hang.set()
    started.reaches(request, RequestStatus.RELEASED)
    assert started.device("arm")["state"] == DeviceState.FREE


def test_a_driver_that_is_gone_holds_up_nothing(started: Lab) -> None:
    request = started.request(started.running_task(), want("arm"))
    granted(started, request)
    started.records.devices.update_one({"_id": "arm"}, {"$set": {"binding.address": ["127.0.0.1", 1]}})
    started.give_back(request)
    started.reaches(request, RequestStatus.RELEASED)
    assert started.device("arm")["state"] == DeviceState.FREE


def test_a_driver_that_refuses_is_asked_again_after_a_while_only(started: Lab) -> None:
    started.driver.refuse.add("arm")
    request = started.request(started.running_task(), want("arm"))
    started.until(lambda: started.driver.log.count(("grant", "arm", 1)) == 1)
    granted(started, started.request(started.running_task(), want("furnace_1")))
    asked = [each for each in started.driver.log if each[:2] == ("grant", "arm")]
    assert len(asked) < 5, "it is asked without a pause"
    assert started.device("arm").get("typical_hold") is None
    started.driver.refuse.clear()
    granted(started, request)
