"""Workers that give no sign of life are told of; what they run stays theirs, whatever the clock on the wall says."""

from __future__ import annotations

import importlib
import pkgutil
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pymongo.errors import AutoReconnect

import lab.managers
from lab.managers.leases import LeaseManager, unreachable
from lab.records import TaskStatus, now

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.system
NEW = "1" * 64
PATIENCE = 30.0


class Observer:
    """A lease manager whose clock is moved by hand."""

    def __init__(self, lab: Lab) -> None:
        self.time = 1000.0
        self.lab = lab
        self.manager = LeaseManager(lab.records, PATIENCE, lambda: self.time)

    def look(self, after: float) -> bool:
        """Look again after some seconds; whether the worker counts as unreachable."""
        self.time += after
        self.manager.reconcile()
        return bool(unreachable(self.lab.records))

    def look_for(self, seconds: float) -> bool:
        """Look every ten seconds for so long."""
        return [self.look(10.0) for _ in range(int(seconds / 10))][-1]

    def beat(self) -> None:
        self.lab.records.workers.update_one({}, {"$inc": {"beat": 1}})


@pytest.fixture
def observer(lab: Lab) -> Observer:
    lab.promote(NEW)
    lab.add_worker()
    return Observer(lab)


def test_a_worker_that_beats_is_reachable(observer: Observer) -> None:
    for _ in range(6):
        observer.beat()
        assert not observer.look(10.0)


def test_a_worker_that_stands_still_is_unreachable_until_it_goes_on(observer: Observer) -> None:
    observer.look(0.0)
    assert not observer.look_for(20.0)
    assert observer.look_for(10.0)
    assert observer.look_for(60.0)
    observer.beat()
    assert not observer.look(10.0)
    kinds = [event["kind"] for event in observer.lab.records.events.find()]
    assert [kind for kind in kinds if kind.startswith("worker.")] == ["worker.unreachable", "worker.reachable"]


def test_its_time_begins_anew_after_the_observer_was_held_up(observer: Observer) -> None:
    observer.look(0.0)
    assert not observer.look(3600.0)
    assert not observer.look_for(20.0)
    assert observer.look_for(10.0)


def test_its_time_begins_anew_after_the_database_was_gone(observer: Observer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AutoReconnect("gone")

    observer.look(0.0)
    observer.look(20.0)
    with monkeypatch.context() as gone:
        gone.setattr(observer.lab.records.workers, "find", refuse)
        with pytest.raises(AutoReconnect):
            observer.look(20.0)
    assert not observer.look(10.0)


def test_managers_that_start_anew_do_not_take_silence_for_a_sign_of_life(observer: Observer) -> None:
    observer.look(0.0)
    assert observer.look_for(30.0)
    assert Observer(observer.lab).look(0.0)


@pytest.mark.parametrize("hours", [1, -1])
def test_nothing_is_lost_when_the_clock_on_the_wall_jumps(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    lab.promote(NEW)
    lab.add_worker()
    lab.start()
    (running,) = lab.submit([])
    lab.run()
    set_clock(monkeypatch, timedelta(hours=hours))
    lab.records.workers.update_one({}, {"$set": {"capacity": 9}})
    (later,) = lab.submit([])
    assert lab.run() == later
    lab.end(later)
    lab.until(lambda: lab.records.experiments.find_one({"tasks": later, "status": "COMPLETED"}))
    assert lab.task(running)["status"] == TaskStatus.RUNNING
    lab.end(running)
    lab.until(lambda: lab.records.experiments.find_one({"tasks": running, "status": "COMPLETED"}))


def set_clock(monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> None:
    """Have every manager take a wrong time for the present one."""

    def wrong() -> Any:
        return now() + ahead

    for found in pkgutil.walk_packages(lab.managers.__path__, "lab.managers."):
        module = importlib.import_module(found.name)
        if "now" in vars(module):
            monkeypatch.setattr(module, "now", wrong)
