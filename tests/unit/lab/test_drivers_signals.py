"""Signals of one device, read in its driver process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from lab import BaseDevice, SamplePosition, log_signal
from lab.drivers._signals import signal_jobs
from lab.signals import Signal


class Oven(BaseDevice):
    """Has a sensor that may be cut, and one that tells too much."""

    def __init__(self) -> None:
        super().__init__("oven")
        self.cut = False

    @property
    def sample_positions(self) -> list[SamplePosition]:
        return []

    def connect(self) -> None: ...

    def disconnect(self) -> None: ...

    def is_running(self) -> bool:
        return False

    @log_signal("heat", 5)
    def heat(self) -> tuple[int, int]:
        if self.cut:
            raise OSError("cut")
        return (1, 2)

    @log_signal("odd", 7, during_calls=True)
    def odd(self) -> object:
        return object()


class OneDevice:
    """Stands in for its slot; ``busy`` when somebody else has its turn."""

    driver_class = Oven

    def __init__(self) -> None:
        self.device = Oven()
        self.busy = False

    def look(self, use: Callable[[BaseDevice], None], when_free: Callable[[], None], *, during_calls: bool) -> bool:
        if not self.busy or during_calls:
            use(self.device)
            return True
        return False


@pytest.fixture
def slot() -> OneDevice:
    return OneDevice()


@pytest.fixture
def recorded() -> list[Signal]:
    return []


@pytest.fixture
def jobs(slot: Any, recorded: list[Signal]) -> Any:
    return signal_jobs(slot, recorded.append)


def test_a_signal_is_recorded_as_plain_data_at_its_interval(jobs: Any, recorded: list[Signal]) -> None:
    assert [job.interval for job in jobs] == [5.0, 7.0]
    assert jobs[0].action(lambda: None)
    [signal] = recorded
    assert (signal["device"], signal["name"], signal["value"]) == ("oven", "heat", [1, 2])


def test_a_busy_device_is_to_be_asked_again(jobs: Any, slot: OneDevice, recorded: list[Signal]) -> None:
    slot.busy = True
    assert jobs[0].action(lambda: None) is False
    assert recorded == []


def test_a_failure_is_told_once_and_its_end_once(
    jobs: Any, slot: OneDevice, recorded: list[Signal], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for cut in (True, True, True, False, False, True):
            slot.device.cut = cut
            jobs[0].action(lambda: None)
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    failed = ("WARNING", "Signal 'heat' of oven cannot be read; it is tried again: cut")
    assert told == [failed, ("INFO", "Signal 'heat' of oven can be read again."), failed]
    assert len(recorded) == 2


def test_what_is_no_plain_data_is_not_recorded(
    jobs: Any, recorded: list[Signal], caplog: pytest.LogCaptureFixture
) -> None:
    jobs[1].action(lambda: None)
    assert recorded == []
    assert "Signal 'odd' of oven is a builtins.object, which cannot leave its process" in caplog.text
