"""Tasks that a laboratory is measured with; this file is committed to it as ``my_lab/tasks/probe.py``."""

import time

from lab import BaseTask

VERSION = 0


class Probe(BaseTask):
    """Tell which code this is, and at what time (seconds since the epoch) it began."""

    def run(self) -> dict[str, float]:
        return {"version": VERSION, "began": time.time()}


class Waiting(BaseTask):
    """Keep a version alive, as a furnace program of many hours does."""

    def __init__(self, seconds: float = 86_400.0) -> None:
        self.seconds = seconds

    def run(self) -> None:
        self.lab_view.sleep(self.seconds)


class Calling(BaseTask):
    """Call a device again and again, and tell how long each call took, in seconds."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def run(self) -> dict[str, list[float]]:
        with self.lab_view.request_resources({"furnace_1": {}}) as (devices, _):
            furnace = devices["furnace_1"]
            furnace.is_running()  # connects
            return {"seconds": [self._call(furnace.is_running) for _ in range(self.calls)]}

    def _call(self, method) -> float:  # type: ignore[no-untyped-def]  # a laboratory's code need not be typed
        began = time.perf_counter()
        method()
        return time.perf_counter() - began


class Using(BaseTask):
    """Hold a device and use it once a second."""

    def __init__(self, device: str) -> None:
        self.device = device

    def run(self) -> None:
        with self.lab_view.request_resources({self.device: {}}) as (devices, _):
            while True:
                devices[self.device].use()
                self.lab_view.sleep(1.0)
