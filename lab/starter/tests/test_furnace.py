"""The furnace heats as physics allows, and never more than it was told."""

import pytest
from my_lab.devices import Furnace
from my_lab.devices import furnace as furnace_module


class Clock:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(furnace_module, "monotonic", clock)
    return clock


@pytest.fixture
def furnace(clock):  # noqa: ARG001 - the furnace reads the clock
    furnace = Furnace("furnace_1", speed_up=60.0)
    furnace.connect()
    return furnace


def program(temperature_c=600.0, ramp=20.0, hold_minutes=10.0):
    return [{"temperature_c": temperature_c, "ramp_c_per_minute": ramp, "hold_minutes": hold_minutes}]


def test_an_idle_furnace_is_cold_and_at_rest(furnace):
    assert furnace.temperature() == 25.0
    assert not furnace.is_running()


def test_the_temperature_follows_the_ramp(furnace, clock):
    furnace.run_program(program(ramp=20.0))
    clock.now = 10.0  # ten minutes
    assert furnace.temperature() == pytest.approx(25.0 + 200.0, abs=1.0)


def test_the_program_ends_after_its_hold_without_overshoot(furnace, clock):
    furnace.run_program(program(600.0, ramp=20.0, hold_minutes=10.0))
    clock.now = 37.0
    assert furnace.is_running()
    clock.now = 40.0
    assert not furnace.is_running()
    assert furnace.peak_temperature() == pytest.approx(600.0, abs=0.01)


def test_the_furnace_cools_when_it_is_stopped(furnace, clock):
    furnace.run_program(program(600.0))
    clock.now = 30.0
    furnace.emergency_stop()
    assert not furnace.is_running()
    hot = furnace.temperature()
    clock.now = 60.0
    assert 25.0 < furnace.temperature() < hot


def test_asking_often_changes_nothing(furnace, clock):
    twin = Furnace("furnace_2", speed_up=60.0)
    twin.connect()
    for each in (furnace, twin):
        each.run_program(program())
    for step in range(1, 41):
        clock.now = step / 2
        furnace.temperature()
    assert furnace.temperature() == twin.temperature()
    assert furnace.energy() == twin.energy()


@pytest.mark.parametrize("temperature_c", [1201.0, 20.0])
def test_a_temperature_out_of_range_is_refused(furnace, temperature_c):
    with pytest.raises(ValueError, match="furnace_1 reaches 40 to 1200 °C"):
        furnace.run_program(program(temperature_c))
    assert not furnace.is_running()


def test_a_furnace_that_is_not_connected_refuses_programs():
    with pytest.raises(ConnectionError, match="furnace_1 is not connected"):
        Furnace("furnace_1").run_program(program())
