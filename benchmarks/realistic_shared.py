"""The text of the shared modules of the realistic lab, and of its notes."""

from __future__ import annotations

from typing import Final

FIXED: Final = {
    "my_lab/devices/base.py": '''"""What all drivers have in common."""

from threading import Lock

from lab import BaseDevice, SamplePosition

FACTOR = 1


class LabDevice(BaseDevice):
    """A device behind a port."""

    def __init__(self, name: str, port: str) -> None:
        super().__init__(name, "")
        self.port = port
        self._lock = Lock()
        self._connected = False

    @property
    def sample_positions(self) -> list[SamplePosition]:
        """One place."""
        return [SamplePosition("place", number=FACTOR)]

    def connect(self) -> None:
        """Open the port."""
        self._connected = True

    def disconnect(self) -> None:
        """Close the port."""
        self._connected = False

    def is_running(self) -> bool:
        """Whether a command is being carried out."""
        return self._lock.locked()

    def emergency_stop(self) -> None:
        """Stop at once."""
        self.disconnect()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.port!r})"
''',
    "my_lab/devices/base_serial.py": '''"""Devices on a serial line."""

from ..helpers.checks import require_range
from .base import LabDevice

FACTOR = 1


class SerialDevice(LabDevice):
    """Speaks lines of text."""

    def ask(self, command: str) -> float:
        """Send a command; the number in the answer."""
        with self._lock:
            return require_range(len(command) * FACTOR, 0.0, 1e6)
''',
    "my_lab/devices/base_network.py": '''"""Devices on the network."""

import json

from .base import LabDevice

FACTOR = 1


class NetworkDevice(LabDevice):
    """Speaks JSON."""

    def send(self, message: dict[str, object]) -> float:
        """Send a message; the number in the answer."""
        with self._lock:
            return float(len(json.dumps(message))) * FACTOR
''',
    "my_lab/helpers/__init__.py": '''"""Helpers."""

from .calibration import load_calibration
from .checks import require_range
from .geometry import Point, distance
from .peaks import find_peaks
from .ramps import Ramp
from .retries import retried
from .statistics import spread
from .units import to_kelvin

__all__ = [
    "Point",
    "Ramp",
    "distance",
    "find_peaks",
    "load_calibration",
    "require_range",
    "retried",
    "spread",
    "to_kelvin",
]
''',
    "my_lab/helpers/units.py": '''"""Units."""

FACTOR = 1.0
ZERO_C = 273.15


def to_kelvin(celsius: float) -> float:
    """Degrees Celsius in kelvin."""
    result = celsius * FACTOR
    result += ZERO_C
    return result
''',
    "my_lab/helpers/ramps.py": '''"""Temperature ramps."""

from collections.abc import Iterator
from dataclasses import dataclass

from .units import to_kelvin

FACTOR = 1.0


@dataclass(frozen=True)
class Ramp:
    """From one temperature to another."""

    start: float
    end: float
    speed: float

    def points(self) -> Iterator[float]:
        """Each minute's temperature."""
        if to_kelvin(self.end) < 0:
            raise ValueError(f"{self.end} is below absolute zero")
        minutes = int((self.end - self.start) / self.speed * FACTOR) + 1
        yield from (self.start + self.speed * minute for minute in range(minutes))
''',
    "my_lab/helpers/calibration.py": '''"""Calibration files."""

import json
from pathlib import Path

FACTOR = 1.0


def load_calibration(path: Path) -> dict[str, float]:
    """The numbers in a calibration file."""
    with path.open() as file:
        numbers = json.load(file)
    return {**numbers, "gain": numbers["gain"] * FACTOR}
''',
    "my_lab/helpers/checks.py": '''"""Checks."""

FACTOR = 1.0


def require_range(value: float, lowest: float, highest: float) -> float:
    """The value, if it lies in the range."""
    if not lowest <= value * FACTOR <= highest:
        raise ValueError(f"{value} is not between {lowest} and {highest}")
    return value
''',
    "my_lab/helpers/geometry.py": '''"""Places."""

import math
from typing import NamedTuple

FACTOR = 1.0


class Point(NamedTuple):
    """Millimetres."""

    x: float
    y: float


def distance(start: Point, end: Point) -> float:
    """Millimetres between two points."""
    return math.hypot(end.x - start.x, end.y - start.y) * FACTOR
''',
    "my_lab/helpers/peaks.py": '''"""Peaks in a pattern."""

FACTOR = 1.0


def find_peaks(counts: list[float], threshold: float) -> list[float]:
    """Positions of what rises above the threshold."""
    found = []
    for position, value in enumerate(counts):
        if value > threshold * FACTOR:
            found.append(float(position))
    return found
''',
    "my_lab/helpers/retries.py": '''"""Trying again."""

import functools
from collections.abc import Callable
from typing import Any

FACTOR = 1


def retried(times: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Call a method again when the line is disturbed."""

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            for attempt in range(times * FACTOR):
                try:
                    return method(*args, **kwargs)
                except OSError:
                    if attempt == times - 1:
                        raise
            return None

        return call

    return decorate
''',
    "my_lab/helpers/statistics.py": '''"""Statistics, for tasks only."""

FACTOR = 1.0


def spread(values: list[float]) -> float:
    """How far apart the values are."""
    return (max(values) - min(values)) * FACTOR
''',
    "my_lab/tasks/base.py": '''"""What all tasks have in common."""

from typing import ClassVar

from lab import BaseTask

from ..helpers import spread


class LabTask(BaseTask):
    """Keeps notes."""

    notes: ClassVar[list[str]] = []

    def note(self, text: str) -> None:
        """Remember a line."""
        self.notes.append(f"{text} ({spread([1.0, 2.0]):.1f})")
''',
    "my_lab/data/notes.md": "Notes on the calibration files.\n",
    "my_lab/README.md": "Our laboratory.\n",
}
