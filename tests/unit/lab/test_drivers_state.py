"""The hooks by which the next driver of a device learns what the one before knew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.definitions import BaseDevice, SamplePosition
from lab.drivers._faults import CallFailed
from lab.drivers._state import LARGEST_STATE, exported_state, imported_state, verified_state
from lab.errors import DeviceError


class Plate(BaseDevice):
    """Exports what it is given; its setpoint is what was imported."""

    def __init__(self, exported: Any = None, verdict: Any = True) -> None:
        super().__init__("plate", "a plate")
        self.exported, self.verdict, self.setpoint = exported, verdict, None

    sample_positions: list[SamplePosition] = []  # noqa: RUF012 - none

    def connect(self) -> None:
        return None

    def disconnect(self) -> None:
        return None

    def is_running(self) -> bool:
        return False

    def export_state(self) -> Any:
        if isinstance(self.exported, Exception):
            raise self.exported
        return self.exported

    def import_state(self, state: Any) -> None:
        self.setpoint = state["setpoint"]

    def verify_state(self, state: Any) -> Any:
        return self.verdict


class Bare(Plate):
    """Has none of the hooks."""

    export_state = BaseDevice.export_state
    import_state = BaseDevice.import_state
    verify_state = BaseDevice.verify_state


def test_state_leaves_as_plain_data() -> None:
    assert exported_state(Plate({"setpoint": 900, "zone": (1, 2)}), Path()) == {"setpoint": 900, "zone": [1, 2]}


def test_a_driver_without_the_hooks_has_no_state_and_takes_any() -> None:
    assert exported_state(Bare(), Path()) is None
    imported_state(Bare(), {"setpoint": 900}, Path())
    verified_state(Bare(), {"setpoint": 900}, Path())


def test_state_that_is_no_plain_data_is_refused_in_one_sentence() -> None:
    with pytest.raises(
        DeviceError, match=r"^What export_state of plate returns\['lock'\] is a builtins\.object, which"
    ):
        exported_state(Plate({"lock": object()}), Path())


def test_state_that_is_too_large_is_refused_in_one_sentence() -> None:
    with pytest.raises(DeviceError, match=r"^What export_state of plate returns takes \d+ bytes, more than the 65536"):
        exported_state(Plate("x" * LARGEST_STATE), Path())


def test_a_hook_that_raises_ends_only_the_hand_over() -> None:
    with pytest.raises(CallFailed, match="no answer"):
        exported_state(Plate(OSError("no answer")), Path())
    with pytest.raises(CallFailed, match="setpoint"):
        imported_state(Plate(), {}, Path())


def test_state_is_imported() -> None:
    plate = Plate()
    imported_state(plate, {"setpoint": 900}, Path())
    assert plate.setpoint == 900


@pytest.mark.parametrize("verdict", [True, None])
def test_state_that_is_read_back_is_verified(verdict: object) -> None:
    verified_state(Plate(verdict=verdict), {}, Path())


def test_state_that_is_not_read_back_is_refused() -> None:
    with pytest.raises(DeviceError, match="plate is not as the driver before left it"):
        verified_state(Plate(verdict=False), {}, Path())
