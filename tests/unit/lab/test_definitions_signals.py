"""What drivers mark as signals."""

from __future__ import annotations

from typing import Any

import pytest

from lab import BaseDevice, SamplePosition, log_signal, mock
from lab.definitions import add_device, describe, logged_signals, registry


class Oven(BaseDevice):
    """Has a signal of every kind."""

    def __init__(self, name: str) -> None:
        super().__init__(name)

    @property
    def sample_positions(self) -> list[SamplePosition]:
        return []

    def connect(self) -> None: ...

    def disconnect(self) -> None: ...

    def is_running(self) -> bool:
        return False

    @log_signal("temperature_c", 10)
    def temperature(self) -> float:
        return 900.0

    @property
    @log_signal("power_w", interval_seconds=0.5, during_calls=True)
    def power(self) -> float:
        return 40.0

    @log_signal("humidity", 60)
    @property
    def humidity(self) -> float:
        return 0.5

    @log_signal("pressure", 1)
    @mock(return_constant=1.0)
    def pressure(self) -> float:
        return 2.0

    @mock(return_constant=3.0)
    @log_signal("flow", 1)
    def flow(self) -> float:
        return 4.0


class SmallOven(Oven):
    """Says nothing of its humidity, and measures its temperature otherwise."""

    humidity = 0.1  # type: ignore[assignment]

    @log_signal("temperature_c", 2)
    def temperature(self) -> float:
        return 100.0


def read(device: Oven) -> dict[str, Any]:
    return {signal.name: signal.read(device) for signal in logged_signals(type(device))}


def test_methods_and_properties_are_signals() -> None:
    assert read(Oven("oven")) == {
        "flow": 3.0,
        "humidity": 0.5,
        "power_w": 40.0,
        "pressure": 1.0,
        "temperature_c": 900.0,
    }
    told = {signal.name: (signal.interval_seconds, signal.during_calls) for signal in logged_signals(Oven)}
    assert told["temperature_c"] == (10.0, False)
    assert told["power_w"] == (0.5, True)


def test_a_signal_is_still_a_method() -> None:
    assert (Oven("oven").temperature(), Oven("oven").power, Oven("oven").humidity) == (900.0, 40.0, 0.5)


def test_a_subclass_decides_anew_on_what_it_defines_anew() -> None:
    assert read(SmallOven("oven")) == {"flow": 3.0, "power_w": 40.0, "pressure": 1.0, "temperature_c": 100.0}


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf")])
def test_an_interval_that_cannot_be_is_refused(interval: float) -> None:
    with pytest.raises(ValueError, match="signal 'heat' has the interval"):
        log_signal("heat", interval)


@pytest.mark.parametrize("name", ["", 3, "a\0b"])
def test_a_name_that_cannot_be_is_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="cannot name a signal"):
        log_signal(name, 1)


def test_what_is_no_method_cannot_be_a_signal() -> None:
    with pytest.raises(TypeError, match="put it on a method or a property"):
        log_signal("heat", 1)(Oven)


class Muddled(Oven):
    """Has two signals of one name."""

    @log_signal("flow", 1)
    def other(self) -> float:
        return 1.0


def test_two_signals_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.definitions._describe.load", lambda _package: None)
    registry.clear()
    add_device(Muddled, "oven")
    try:
        with pytest.raises(Exception, match="device 'oven' logs two signals called 'flow': rename one"):
            describe("any")
    finally:
        registry.clear()


def test_without_a_laboratory_nothing_was_recorded() -> None:
    assert Oven("oven").retrieve_signal("flow") == []
