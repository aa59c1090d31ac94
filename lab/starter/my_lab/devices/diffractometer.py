"""The X-ray diffractometer."""

import json
from pathlib import Path
from random import Random
from typing import Any

from lab import SamplePosition

from ..patterns import Line, angles, find_peaks, match, simulate
from .simulated import SimulatedDevice

REFERENCE_FILE = Path(__file__).parent.parent / "data" / "reference_peaks.json"
SECONDS_PER_DEGREE = 6.0
SMALLEST_ANGLE, LARGEST_ANGLE = 5.0, 120.0


class Diffractometer(SimulatedDevice):
    """Scans a sample and names its phases by their lines.

    ``phase`` is what the simulated sample consists of, one of ``data/reference_peaks.json``.
    """

    def __init__(self, name: str, phase: str = "quartz", speed_up: float = 1.0) -> None:
        super().__init__(name, "powder diffractometer, Cu K-alpha", speed_up)
        self.phase = phase
        self._noise = Random()  # noqa: S311 - simulates scatter, keeps no secret
        self._phases: dict[str, list[Line]] = {}

    @property
    def sample_positions(self) -> list[SamplePosition]:
        """One sample holder."""
        return [SamplePosition("stage")]

    def connect(self) -> None:
        """Load the reference lines."""
        self._phases = json.loads(REFERENCE_FILE.read_text(encoding="utf-8"))["phases"]
        super().connect()

    def scan(self, start: float, end: float) -> list[dict[str, Any]]:
        """Return the peaks between two angles (two-theta in degrees), each with its phase or None."""
        if not SMALLEST_ANGLE <= start < end <= LARGEST_ANGLE:
            raise ValueError(f"{self.name} scans upwards from {SMALLEST_ANGLE:g} to {LARGEST_ANGLE:g} degrees")
        self.work((end - start) * SECONDS_PER_DEGREE)
        at = angles(start, end)
        peaks = find_peaks(at, simulate(self._phases[self.phase], at, self._noise))
        return [{"two_theta": angle, "counts": counts, "phase": match(angle, self._phases)} for angle, counts in peaks]
