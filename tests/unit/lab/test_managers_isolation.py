"""Processes for single tasks are started once, and drained at once so that nobody starts them again."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from hotswap.errors import ProcessError
from lab.managers.isolation import ENTRY, LoneProcesses, process_name

SNAPSHOT = "a" * 64


class Fleet:
    """Notes what it is asked for; ``drained`` is set by each drain."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.running: list[dict[str, Any]] = []
        self.drained = threading.Event()
        self.refuses = False

    def ensure(self, name: str, snapshot: str, entry: str, arguments: dict[str, Any]) -> None:
        if self.refuses:
            self.drained.set()
            raise ProcessError("There is no memory.")
        self.calls.append(("ensure", name, snapshot, entry, arguments))

    def drain(self, name: str, instance: str | None = None) -> None:
        self.calls.append(("drain", name))
        self.drained.set()

    def stop(self, name: str, grace: float, instance: str | None = None) -> None:
        self.calls.append(("stop", name, grace))

    def processes(self) -> list[dict[str, Any]]:
        return self.running


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


@pytest.fixture
def lone(fleet: Fleet) -> LoneProcesses:
    return LoneProcesses(fleet, {"database": "d"})


def test_an_attempt_gets_a_process_that_ends_with_it(fleet: Fleet, lone: LoneProcesses) -> None:
    lone.start(SNAPSHOT, "t1", 2)
    assert fleet.drained.wait(10)
    arguments = {"database": "d", "task": "t1", "attempt": 2}
    assert fleet.calls == [("ensure", "task-t1-2", SNAPSHOT, ENTRY, arguments), ("drain", "task-t1-2")]


def test_a_process_that_is_there_is_not_started_again(fleet: Fleet, lone: LoneProcesses) -> None:
    fleet.running = [{"name": process_name("t1", 2), "alive": True, "entry": ENTRY, "state": "running"}]
    lone.start(SNAPSHOT, "t1", 2)
    assert fleet.drained.wait(10)
    assert fleet.calls == [("drain", "task-t1-2")]


def test_what_did_not_start_can_be_tried_again(fleet: Fleet, lone: LoneProcesses) -> None:
    fleet.refuses = True
    lone.start(SNAPSHOT, "t1", 1)
    assert fleet.drained.wait(10)
    fleet.refuses = False
    fleet.drained.clear()
    while not fleet.drained.wait(0.01):
        lone.start(SNAPSHOT, "t1", 1)
    assert ("drain", "task-t1-1") in fleet.calls


def test_a_process_is_killed_at_once(fleet: Fleet, lone: LoneProcesses) -> None:
    lone.kill("task-t1-1")
    assert fleet.calls == [("stop", "task-t1-1", 0.0)]


def test_what_earlier_managers_did_not_drain_is_drained(fleet: Fleet, lone: LoneProcesses) -> None:
    fleet.running = [
        {"name": "task-t1-1", "entry": ENTRY, "state": "running"},
        {"name": "task-t2-1", "entry": ENTRY, "state": "ending"},
        {"name": "worker-a", "entry": "lab.worker:main", "state": "running"},
    ]
    lone.sweep()
    assert fleet.calls == [("drain", "task-t1-1")]
