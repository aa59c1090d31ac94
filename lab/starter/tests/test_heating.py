"""The heating task loads, heats and unloads, and leaves the arm to others meanwhile."""

from unittest.mock import Mock

import pytest
from fake_lab import FakeLabView
from my_lab.devices import Furnace, RobotArm
from my_lab.tasks import Heating

from lab.definitions import make_task


class CancelledError(Exception):
    """Stands for the cancellation of a task."""


@pytest.fixture
def furnace():
    furnace = Mock(spec=Furnace)
    furnace.name = "furnace_1"
    furnace.is_running.side_effect = [True, False]
    furnace.peak_temperature.return_value = 600.0
    furnace.energy.return_value = 1.5
    return furnace


@pytest.fixture
def view(furnace):
    return FakeLabView({Furnace: furnace, RobotArm: Mock(spec=RobotArm)})


def heating(view, samples=("s1",), **parameters):
    return make_task(Heating, {"temperature_c": 600, **parameters}, samples, "task", view)


def test_samples_go_through_the_furnace_to_the_table(view):
    heating(view).run()
    moves = [entry for entry in view.log if entry[0] == "move"]
    assert moves == [("move", "s1", "furnace/slot/1"), ("move", "s1", "table/1")]


def test_the_arm_is_free_while_the_furnace_heats(view):
    held = []

    def note(_seconds):
        held.append(view.log.count(("take", "RobotArm")) - view.log.count(("free", "RobotArm")))

    view.while_sleeping.side_effect = note
    heating(view).run()
    assert held == [0]


def test_the_result_tells_what_the_furnace_did(view):
    assert heating(view).run() == {"furnace": "furnace_1", "peak_temperature_c": 600.0, "energy_kwh": 1.5}


def test_the_heater_is_switched_off_when_the_task_is_cancelled(view, furnace):
    view.while_sleeping.side_effect = CancelledError
    with pytest.raises(CancelledError):
        heating(view).run()
    furnace.stop.assert_called_once_with()


def test_more_samples_than_slots_are_refused(view):
    with pytest.raises(ValueError, match="a furnace holds 4 samples, not 5"):
        heating(view, samples=["s1", "s2", "s3", "s4", "s5"]).validate()


def test_heating_nothing_is_refused(view):
    with pytest.raises(ValueError, match="Heating needs at least one sample"):
        heating(view, samples=[]).validate()
