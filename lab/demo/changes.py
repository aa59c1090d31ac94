"""The commits of the story: what somebody changes in the starter lab while it runs."""

from __future__ import annotations

from typing import Final

from lab.demo.repository import Change, Edit

PACKAGE: Final = "my_lab"
HEATING: Final = f"{PACKAGE}/tasks/heating.py"

UNLOADING_TEMPERATURE: Final = Change(
    "Heating: report the temperature at which samples are taken out",
    (
        Edit(
            HEATING,
            '"energy_kwh": furnace.energy(),\n',
            '"energy_kwh": furnace.energy(),\n                "unloaded_at_c": furnace.temperature(),\n',
        ),
    ),
)

FASTER_RAMP_C_PER_MINUTE: Final = 60.0
FASTER_RAMP: Final = Change(
    f"Furnace: allow ramps up to {FASTER_RAMP_C_PER_MINUTE:g} degrees per minute",
    (
        Edit(
            f"{PACKAGE}/devices/furnace.py",
            "FASTEST_RAMP_C_PER_MINUTE = 50.0",
            f"FASTEST_RAMP_C_PER_MINUTE = {FASTER_RAMP_C_PER_MINUTE}",
        ),
    ),
)

NEW_LINE_DEGREES: Final = 75.66
NEW_LINE: Final = Change(
    f"Reference data: add the line of quartz at {NEW_LINE_DEGREES} degrees",
    (
        Edit(
            f"{PACKAGE}/data/reference_peaks.json",
            "[73.46, 3]",
            f"[73.46, 3], [{NEW_LINE_DEGREES}, 10]",
        ),
    ),
)

DRYING_C: Final = 110.0
DRYING: Final = Change(
    f"Ramps: dry samples at {DRYING_C:g} degrees before heating them",
    (
        Edit(
            f"{PACKAGE}/ramps.py",
            "    return [\n        Segment(temperature_c,",
            "    return [\n"
            f"        Segment({DRYING_C}, ramp_c_per_minute, hold_minutes=15.0),\n"
            "        Segment(temperature_c,",
        ),
    ),
)

_BALL_MILL: Final = '''\
"""The ball mill."""

import math

from lab import SamplePosition

from .simulated import SimulatedDevice

FEED_SIZE_UM = 100.0
BREAKAGE_PER_TURN = 2.0e-4


class BallMill(SimulatedDevice):
    """Grinds the powder in its jar."""

    def __init__(self, name: str, speed_up: float = 1.0) -> None:
        super().__init__(name, "planetary ball mill", speed_up)

    @property
    def sample_positions(self) -> list[SamplePosition]:
        """One jar."""
        return [SamplePosition("jar")]

    def grind(self, rpm: float, minutes: float) -> float:
        """Grind, and return the grain size in micrometres: at each turn the same fraction of the grains breaks."""
        self.work(minutes * 60.0)
        return round(FEED_SIZE_UM * math.exp(-BREAKAGE_PER_TURN * rpm * minutes), 2)
'''

_MILLING: Final = '''\
"""Milling samples."""

from typing import Any

from ..devices import BallMill
from ..transfers import transfer
from .sample_task import SampleTask


class Milling(SampleTask):
    """Grind each sample and put it on the table."""

    def __init__(self, rpm: float = 300.0, minutes: float = 10.0) -> None:
        self.rpm = rpm
        self.minutes = minutes

    def run(self) -> dict[str, Any]:
        """Return the grain size in micrometres, by sample."""
        with self.lab_view.request_resources({BallMill: {"jar": 1}, None: {"table": len(self.samples)}}) as (
            devices,
            places,
        ):
            (jar,) = places[BallMill]["jar"]
            sizes = {}
            for sample, place in zip(self.samples, places[None]["table"], strict=True):
                transfer(self.lab_view, sample, jar)
                sizes[sample] = devices[BallMill].grind(self.rpm, self.minutes)
                transfer(self.lab_view, sample, place)
        return {"grain_um": sizes}
'''

MILL: Final = "mill"
NEW_DEVICE_AND_TASK: Final = Change(
    "Add a ball mill and a task that uses it",
    (
        Edit(f"{PACKAGE}/devices/__init__.py", "from .balance", "from .ball_mill import BallMill\nfrom .balance"),
        Edit(f"{PACKAGE}/devices/__init__.py", '["Balance"', '["Balance", "BallMill"'),
        Edit(f"{PACKAGE}/tasks/__init__.py", "from .moving", "from .milling import Milling\nfrom .moving"),
        Edit(f"{PACKAGE}/tasks/__init__.py", '"Moving"]', '"Milling", "Moving"]'),
        Edit(f"{PACKAGE}/__init__.py", "import Balance,", "import Balance, BallMill,"),
        Edit(f"{PACKAGE}/__init__.py", "Heating, Moving", "Heating, Milling, Moving"),
        Edit(
            f"{PACKAGE}/__init__.py",
            'add_device(Diffractometer, name="xrd", speed_up=SPEED_UP)\n',
            'add_device(Diffractometer, name="xrd", speed_up=SPEED_UP)\n'
            f'add_device(BallMill, name="{MILL}", speed_up=SPEED_UP)\n',
        ),
        Edit(f"{PACKAGE}/__init__.py", "add_task(Moving)\n", "add_task(Moving)\nadd_task(Milling)\n"),
    ),
    {f"{PACKAGE}/devices/ball_mill.py": _BALL_MILL, f"{PACKAGE}/tasks/milling.py": _MILLING},
)

BROKEN_LINE: Final = "    def _heat(self, furnace: Any) -> None"
SYNTAX_ERROR: Final = Change(
    "Heating: an edit that somebody did not try out", (Edit(HEATING, f"{BROKEN_LINE}:\n", f"{BROKEN_LINE}\n"),)
)
CORRECTION: Final = SYNTAX_ERROR.undone("Heating: correct the syntax error")
