"""Code for the tests of known failures: tasks and driver methods that tell which code they are of."""

from __future__ import annotations

PROBED = '''\
"""A device that tells which code it is of."""

import os

from lab import BaseDevice, SamplePosition

from ..helper import VALUE


class Probed(BaseDevice):
    """Its method has the name that the code of its tasks calls it by."""

    @property
    def sample_positions(self) -> list[SamplePosition]:
        return []

    def connect(self) -> None:
        return None

    def disconnect(self) -> None:
        return None

    def is_running(self) -> bool:
        return False

    def {method}(self) -> int:
        return VALUE
'''

PROBING = '''\
"""A task that tells by which code it and its device run, before and after a wait."""

from pathlib import Path
from typing import Any

from lab import BaseTask

from ..helper import VALUE


class Probing(BaseTask):
    """Ask a device until the file ``gate`` exists, and once more then."""

    def __init__(self, device: str, gate: str) -> None:
        self.device = device
        self.gate = gate

    def run(self) -> dict[str, Any]:
        """Return all values that were seen: of the module, of one imported late, and of the device."""
        with self.lab_view.request_resources({{self.device: {{}}}}) as (devices, _):
            early = devices[self.device].{method}()
            self.lab_view.update_result("early", early)
            while not Path(self.gate).exists():
                self.lab_view.sleep(0.02)
            from ..helper_of_late import LATE

            return {{"seen": sorted({{VALUE, early, LATE, devices[self.device].{method}()}})}}
'''

COMPARING = '''\
"""A task that reads the data file its device reads, too."""

import json
from pathlib import Path
from typing import Any

from lab import BaseTask

FILE = Path(__file__).parent.parent / "data" / "reference_peaks.json"


class Comparing(BaseTask):
    """Compare what the file says with what the diffractometer has, before and after the file ``gate`` exists."""

    def __init__(self, gate: str) -> None:
        self.gate = gate

    def run(self) -> dict[str, Any]:
        """Return both, twice."""
        with self.lab_view.request_resources({"xrd": {}}) as (devices, _):
            seen = [self._look(devices["xrd"])]
            self.lab_view.update_result("early", seen[0])
            while not Path(self.gate).exists():
                self.lab_view.sleep(0.02)
            return {"seen": [*seen, self._look(devices["xrd"])]}

    def _look(self, device: Any) -> list[Any]:
        return [json.loads(FILE.read_text())["phases"]["quartz"], device.reference()]
'''

FIRING = '''\
"""A task that heats, and asks for more while it does."""

from pathlib import Path
from time import monotonic
from typing import Any

from lab import BaseTask


class Firing(BaseTask):
    """Follow a program of two hours; ask for the arm once the file ``gate`` exists."""

    def __init__(self, gate: str) -> None:
        self.gate = gate

    def run(self) -> dict[str, Any]:
        """Return how long the furnace was running, whether it was when the arm was there, and which object it was."""
        with self.lab_view.request_resources({"furnace_1": {}}) as (devices, _):
            furnace = devices["furnace_1"]
            furnace.run_program([{"temperature_c": 60.0, "ramp_c_per_minute": 50.0, "hold_minutes": 120.0}])
            began, first = monotonic(), furnace.identity()
            self.lab_view.update_result("heating", True)
            while not Path(self.gate).exists():
                self.lab_view.sleep(0.02)
            with self.lab_view.request_resources({"robot_arm": {}}) as (nested, _):
                nested["robot_arm"].is_running()
                during = furnace.is_running()
            while furnace.is_running():
                self.lab_view.sleep(0.02)
            return {"seconds": monotonic() - began, "during": during, "objects": [first, furnace.identity()]}
'''

HEATING_SECONDS = 12.0
"""How long Firing heats: two hours, of which the starter lab has ten minutes pass in a second."""

IDENTITY = '''
    def identity(self) -> list[int]:
        """Which object this is."""
        return [os.getpid(), id(self)]

    def stop(self) -> None:'''

REFERENCE = '''
    def reference(self) -> list[Any]:
        """The lines of quartz as they were loaded."""
        return self._phases["quartz"]

    def scan(self,'''

IMPORTING = '''\
"""Tasks that import the same modules at the same moment."""

import importlib
from pathlib import Path
from typing import Any

from lab import BaseTask


class Importing(BaseTask):
    """Wait for the file ``gate``, then import all of ``modules``."""

    def __init__(self, gate: str, modules: int) -> None:
        self.gate = gate
        self.modules = modules

    def run(self) -> dict[str, Any]:
        """Return the sum of what they hold."""
        self.set_message("waiting")
        while not Path(self.gate).exists():
            self.lab_view.sleep(0.01)
        names = [f"{__package__}.part_{number}" for number in range(self.modules)]
        return {"sum": sum(importlib.import_module(name).VALUE for name in names)}
'''
