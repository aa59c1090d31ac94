"""Old and new code ask for the same devices: each request has its turn, in the order of asking."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lab.records import DeviceState, RequestStatus, Want

pytestmark = pytest.mark.system
OLD, NEW = "0" * 64, "1" * 64
DIGESTS = {OLD: "old", NEW: "new"}


class Rebinder:
    """Gives free devices the driver that is wanted, one device at a time, as the device manager does."""

    def __init__(self, lab: Any) -> None:
        self._lab = lab
        self.rebound: list[tuple[str, str]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                device, snapshot = self._lab.devices.rebinds.get(timeout=0.05)
            except queue.Empty:
                continue
            self._rebind(device, DIGESTS[snapshot])

    def _rebind(self, device: str, digest: str) -> None:
        free = {"_id": device, "state": DeviceState.FREE, "binding.digest": {"$ne": digest}}
        devices = self._lab.records.devices
        if devices.update_one(free, {"$set": {"state": DeviceState.REBINDING}}).modified_count:
            self.rebound.append((device, digest))
            devices.update_one({"_id": device}, {"$set": {"state": DeviceState.FREE, "binding.digest": digest}})


@pytest.fixture
def shared(lab: Any) -> Any:
    """A laboratory in which tasks of two code versions are at work."""
    lab.promote(OLD, digest="old")
    lab.promote(NEW)
    lab.add_worker()
    lab.furnish()
    lab.start()
    return lab


@pytest.fixture
def rebinder(shared: Any) -> Iterator[Rebinder]:
    made = Rebinder(shared)
    yield made
    made.close()


def want(*names: str) -> list[Want]:
    return [Want(key=name, kind="device", name=name, positions={}) for name in names]


def ask(lab: Any, snapshot: str, *names: str) -> str:
    request: str = lab.request(lab.running_task(), *want(*names), snapshot=snapshot)
    return request


def served(lab: Any, requests: list[str]) -> list[str]:
    """The requests in the order in which they are granted; each is given back when the next has seen it."""
    order: list[str] = []
    while len(order) < len(requests):
        held = lab.until(lambda: [one for one in requests if lab.asked(one)["status"] == RequestStatus.FULFILLED])
        order += held
        for one in held:
            lab.give_back(one)
            lab.reaches(one, RequestStatus.RELEASED)
    return order


def test_no_request_waits_for_one_that_came_later(shared: Any, rebinder: Rebinder) -> None:
    first = ask(shared, NEW, "arm")
    shared.reaches(first, RequestStatus.FULFILLED)
    requests = [ask(shared, snapshot, "arm") for snapshot in (OLD, NEW, NEW, OLD, OLD, NEW, OLD, NEW)]
    assert served(shared, [first, *requests]) == [first, *requests]
    assert [digest for _, digest in rebinder.rebound] == ["old", "new", "old", "new", "old", "new"]
    assert shared.driver.violations == []


def test_a_request_for_several_devices_has_its_turn_among_those_for_one(shared: Any, rebinder: Rebinder) -> None:
    first = ask(shared, NEW, "arm")
    shared.reaches(first, RequestStatus.FULFILLED)
    both = ask(shared, OLD, "arm", "furnace_1")
    later = [ask(shared, NEW, name) for name in ("arm", "arm")]
    assert served(shared, [first, both, *later]) == [first, both, *later]
    assert shared.driver.violations == []


def test_a_driver_that_does_not_connect_keeps_the_device_from_nobody_else(shared: Any) -> None:
    failed = {"failed_digest": "old", "error": "no such port"}
    shared.records.devices.update_one({"_id": "arm"}, {"$set": failed})
    hopeless = ask(shared, OLD, "arm")
    shared.reaches(ask(shared, NEW, "arm"), RequestStatus.FULFILLED)
    assert shared.asked(hopeless)["status"] == RequestStatus.PENDING
