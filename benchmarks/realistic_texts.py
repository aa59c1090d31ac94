"""The text of the drivers, the tasks and the packages of the realistic lab."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Family:
    """Drivers of one kind: the text of each, and the shared files that decide what they do."""

    text: str
    uses: tuple[str, ...]


ROOT: Final = '''"""Our laboratory."""

from lab import SamplePosition, add_device, add_standalone_sample_position, add_task

from .devices import (
$device_names
)
from .tasks import (
$task_names
)

$devices

for number in range(4):
    add_standalone_sample_position(SamplePosition(f"shelf_{number}", number=8))

$tasks
'''

DEVICES: Final = '''"""All drivers."""

$imports

__all__ = [
$exported
]
'''

TASKS: Final = '''"""All task types."""

$imports

__all__ = [
$exported
]
'''

TASK: Final = '''"""What $name does."""

from pydantic import Field

from my_lab.devices import $device
from my_lab.helpers import to_kelvin

from .base import LabTask

LIMIT_K = to_kelvin(1100.0 + $number)


class $name(LabTask):
    """One step of a procedure."""

    target_c: float = Field(default=2$number, description="degrees Celsius")

    def run(self) -> dict[str, float]:
        """Ask for the device and use it."""
        if to_kelvin(self.target_c) > LIMIT_K:
            raise ValueError(f"{self.target_c} degrees are too hot")
        with self.lab.request({$device: 1}) as granted:
            device = granted[0]
            self.note(f"{device} at work")
            return {"reached": device.measure(self.target_c)}
'''

_FURNACE: Final = '''"""The furnace $name."""

import logging
from pathlib import Path
from typing import ClassVar

from ..helpers import Ramp, load_calibration, to_kelvin
from .base_serial import SerialDevice

logger = logging.getLogger(__name__)

HERE = Path(__file__).resolve().parent
CALIBRATION = HERE.parent / "data" / "$module.json"
STEP = 1.$number


class $name(SerialDevice):
    """Made by Ofenbau; heats to 1100 degrees Celsius."""

    limits: ClassVar[dict[str, float]] = {"highest": 1100.0, "fastest": 10.0}

    def heat(self, target_c: float) -> list[float]:
        """Follow a ramp."""
        gain = load_calibration(CALIBRATION)["gain"]
        ramp = Ramp(20.0, target_c, self.limits["fastest"] * gain + STEP)
        logger.info("heating to %s", to_kelvin(target_c))
        return [self.ask(f"T{point:.1f}") for point in ramp.points()]

    def measure(self, target_c: float) -> float:
        """The temperature in kelvin."""
        return to_kelvin(self.heat(target_c)[-1])
'''

_BALANCE: Final = '''"""The balance $name."""

import json
from dataclasses import dataclass
from pathlib import Path

from my_lab.devices.base_serial import SerialDevice
from my_lab.helpers.checks import require_range

STEP = 0.00$number


@dataclass(frozen=True)
class Weight:
    """Grams."""

    value: float
    stable: bool = True


class $name(SerialDevice):
    """Made by Waage; reads grams."""

    def weigh(self) -> Weight:
        """The weight once it is stable."""
        folder = Path(__file__).parent.parent / "data"
        offset = json.loads((folder / "$module.json").read_text())["offset"]
        value = self.ask("W") - offset + STEP
        return Weight(require_range(value, 0.0, 220.0))

    def measure(self, target_c: float) -> float:
        """Grams, whatever the temperature."""
        return self.weigh().value
'''

_ROBOT: Final = '''"""The arm $name."""

import enum
from pathlib import Path

from my_lab.helpers import load_calibration
from my_lab.helpers.geometry import Point, distance

from .base_network import NetworkDevice

STEP = 5 + $number
PLACES = Path(__file__).parents[1] / "data" / "$module.json"


class Grip(enum.Enum):
    """What the gripper does."""

    OPEN = "open"
    CLOSED = "closed"


class $name(NetworkDevice):
    """Made by Greifer; carries crucibles."""

    grip = Grip.OPEN

    def move(self, start: Point, end: Point) -> float:
        """Seconds that the move took."""
        self.grip = Grip.CLOSED
        places = load_calibration(PLACES)
        seconds = distance(start, end) / (STEP + places["gain"])
        self.send({"move": [start.x, end.x], "seconds": seconds})
        self.grip = Grip.OPEN
        return seconds

    def measure(self, target_c: float) -> float:
        """How far it reaches."""
        return self.move(Point(0.0, 0.0), Point(target_c, 0.0))
'''

_DIFFRACTOMETER: Final = '''"""The diffractometer $name."""

from pathlib import Path

from ..helpers.calibration import load_calibration
from ..helpers.peaks import find_peaks
from .base_network import NetworkDevice

STEP = 0.0$number
REFERENCE = Path(__file__).resolve().parent.parent / "data" / "$module.json"


class $name(NetworkDevice):
    """Made by Roentgen; scans from 10 to 90 degrees."""

    def scan(self, start: float = 10.0, end: float = 90.0) -> list[float]:
        """Positions of the peaks."""
        reference = load_calibration(REFERENCE)
        counts = [self.send({"angle": start + STEP * index}) for index in range(int(end - start))]
        return find_peaks(counts, threshold=reference["gain"])

    def measure(self, target_c: float) -> float:
        """The number of peaks."""
        return float(len(self.scan(end=target_c)))
'''

_PUMP: Final = '''"""The pump $name."""

import json
from functools import cached_property
from importlib.resources import files

from my_lab.helpers import retried
from my_lab.helpers.checks import require_range

from .base_serial import SerialDevice

STEP = $number + 1


class $name(SerialDevice):
    """Made by Pumpe; doses microlitres."""

    @cached_property
    def gain(self) -> float:
        """Microlitres in a step."""
        return float(json.loads((files("my_lab") / "data" / "$module.json").read_text())["gain"])

    @retried(times=3)
    def dose(self, microlitres: float) -> float:
        """What was really dosed."""
        return self.ask(f"D{require_range(microlitres, 0.0, 5000.0) * self.gain + STEP}")

    def measure(self, target_c: float) -> float:
        """Microlitres."""
        return self.dose(target_c)
'''

_H, _D = "my_lab/helpers", "my_lab/devices"
_SERIAL: Final = (f"{_D}/base.py", f"{_D}/base_serial.py", f"{_H}/checks.py")
_NETWORK: Final = (f"{_D}/base.py", f"{_D}/base_network.py")

FAMILIES: Final = {
    "furnace": Family(_FURNACE, (*_SERIAL, f"{_H}/ramps.py", f"{_H}/units.py", f"{_H}/calibration.py")),
    "balance": Family(_BALANCE, _SERIAL),
    "robot": Family(_ROBOT, (*_NETWORK, f"{_H}/geometry.py", f"{_H}/calibration.py")),
    "diffractometer": Family(_DIFFRACTOMETER, (*_NETWORK, f"{_H}/peaks.py", f"{_H}/calibration.py")),
    "pump": Family(_PUMP, (*_SERIAL, f"{_H}/retries.py")),
}
