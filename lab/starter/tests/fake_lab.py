"""A laboratory small enough for tests: everything is free at once, and time costs nothing."""

from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import Mock

from lab import TaskLogger


@dataclass
class FakeSample:
    """A sample and where it stands."""

    name: str
    position: str | None = None


class FakeLabView:
    """Stands in for the `lab.LabView` that the runtime gives to a task; ``log`` tells what the task did."""

    task_id = "task"

    def __init__(self, devices):
        self.devices = devices
        self.while_sleeping = Mock()
        self.samples = {}
        self.log = []
        self.logger = TaskLogger("task", "test")
        self.signals = {}

    @contextmanager
    def request_resources(self, resources, priority=None, timeout=None):  # noqa: ARG002 - as in LabView
        """Grant everything."""
        names = [getattr(key, "__name__", key) for key in resources]
        self.log.append(("take", *names))
        places = {key: _places(key, needs) for key, needs in resources.items()}
        try:
            yield {key: self.devices.get(key) for key in resources}, places
        finally:
            self.log.append(("free", *names))

    def log_device_signal(self, device, name, value):
        """Keep the values of each signal."""
        self.signals.setdefault((device, name), []).append(value)

    def get_sample(self, sample):
        """Return where a sample stands."""
        return self.samples.setdefault(sample, FakeSample(sample))

    def move_sample(self, sample, position):
        """Note where a sample stands."""
        self.get_sample(sample).position = position
        self.log.append(("move", sample, position))

    def sleep(self, seconds):
        """Let the test decide what happens meanwhile."""
        self.while_sleeping(seconds)

    def update_result(self, name, value):
        """Note a part of the result."""
        self.log.append(("result", name, value))

    def set_message(self, message):
        """Show nothing."""


def _places(key, needs):
    device = getattr(key, "__name__", "").lower()
    prefix = f"{device}/" if device else ""
    return {name: [f"{prefix}{name}/{index}" for index in range(1, count + 1)] for name, count in needs.items()}
