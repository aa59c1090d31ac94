"""One device inside its driver process."""

from __future__ import annotations

import threading
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from lab.definitions import BaseDevice, MemoryHome, SamplePosition
from lab.drivers import _slot
from lab.drivers._faults import CallFailed
from lab.drivers._slot import Call, Slot
from lab.errors import DeviceError


class Arm(BaseDevice):
    """Homes itself while it connects, until it is stopped."""

    def __init__(self) -> None:
        super().__init__("arm", "an arm")
        self.homing, self.stopped, self.homed = threading.Event(), threading.Event(), threading.Event()

    @property
    def sample_positions(self) -> list[SamplePosition]:
        return []

    def connect(self) -> None:
        self.homing.set()
        if not self.homed.is_set():
            assert self.stopped.wait(5.0)

    def disconnect(self) -> None:
        return None

    def is_running(self) -> bool:
        return False

    def emergency_stop(self) -> None:
        self.stopped.set()

    def reach(self) -> str:
        return "reached"


@pytest.fixture
def arm() -> Arm:
    return Arm()


@pytest.fixture
def slot(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> Slot:
    monkeypatch.setattr(_slot, "build_device", lambda _name, _home: arm)
    return Slot("arm", Path(), lambda _entry: None, lambda _name, _message: None, MagicMock(), MemoryHome())


def reach(fence: int, method: str = "reach") -> Call:
    return Call(fence, method, [], {}, "t1", 1)


def test_a_device_can_be_stopped_while_it_connects(slot: Slot, arm: Arm) -> None:
    connecting = threading.Thread(target=slot.connect)
    connecting.start()
    try:
        assert arm.homing.wait(5.0)
        assert not slot.connected
        assert slot.emergency_stop() is True
    finally:
        arm.stopped.set()
        connecting.join(5.0)
    assert slot.connected


def test_a_device_is_not_called_while_it_connects(slot: Slot, arm: Arm) -> None:
    connecting = threading.Thread(target=slot.connect)
    connecting.start()
    try:
        assert arm.homing.wait(5.0)
        with pytest.raises(DeviceError, match="not connected"):
            slot.grant(1)
    finally:
        arm.stopped.set()
        connecting.join(5.0)


@pytest.fixture
def connected(slot: Slot, arm: Arm) -> Slot:
    arm.homed.set()
    slot.connect()
    slot.grant(1)
    return slot


def test_a_stopped_device_refuses_its_holder(connected: Slot) -> None:
    assert connected.call(reach(1)) == "reached"
    connected.emergency_stop()
    with pytest.raises(DeviceError, match=r"arm\.reach was refused: .* emergency; `lab release arm` ends that"):
        connected.call(reach(1))


def test_a_stopped_device_can_be_stopped_again_by_its_holder(connected: Slot, arm: Arm) -> None:
    connected.emergency_stop()
    arm.stopped.clear()
    connected.call(reach(1, "emergency_stop"))
    assert arm.stopped.is_set()


def test_a_stopped_device_serves_its_holder_after_a_new_connection(connected: Slot) -> None:
    connected.emergency_stop()
    connected.disconnect()
    connected.connect()
    assert connected.call(reach(1)) == "reached"


def test_a_device_that_was_stopped_before_it_was_connected_is_not_connected(slot: Slot, arm: Arm) -> None:
    arm.homed.set()
    with pytest.raises(DeviceError, match="not connected"):
        slot.emergency_stop(stops=1)
    with pytest.raises(DeviceError, match="was stopped in an emergency, so it was not connected"):
        slot.connect(stops=0)
    slot.connect(stops=1)
    assert slot.connected


def test_a_stopped_device_takes_no_state_over(connected: Slot) -> None:
    connected.emergency_stop()
    with pytest.raises(DeviceError, match=r"arm\.import_state was refused"):
        connected.import_state({})


def test_the_hooks_of_the_hand_over_are_not_for_tasks(connected: Slot) -> None:
    with pytest.raises(CallFailed, match=r"Arm\.import_state is not for tasks to call"):
        connected.call(reach(1, "import_state"))
