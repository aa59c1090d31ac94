"""Devices that write down what is done to them; committed to a laboratory as ``my_lab/devices/told.py``."""

import json
import time
from pathlib import Path

from lab import BaseDevice, SamplePosition


class Told(BaseDevice):
    """Writes a line for each connect, disconnect and call."""

    TUNING = 0

    def __init__(self, name: str, folder: str) -> None:
        super().__init__(name, "writes down what is done to it")
        self._path = Path(folder) / name

    @property
    def sample_positions(self) -> list[SamplePosition]:
        return []

    def connect(self) -> None:
        self._tell("connect")

    def disconnect(self) -> None:
        self._tell("disconnect")

    def is_running(self) -> bool:
        return False

    def use(self) -> int:
        """Do nothing but tell; returns the number of the driver."""
        self._tell("use")
        return self.TUNING

    def _tell(self, event: str) -> None:
        with self._path.open("a") as log:
            log.write(json.dumps({"event": event, "at": time.time()}) + "\n")
