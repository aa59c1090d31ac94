"""Managers, drivers and workers of a launched lab are killed while twenty tasks run; what was not killed goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from laboratory import Laboratory, laboratory

pytestmark = pytest.mark.system

DRIVER = '''\
"""A device for tests: its calls take as long as they are let."""

import time

from lab import BaseDevice

VERSION = "driver 1"


class Slow(BaseDevice):
    """Answers at once, or never."""

    sample_positions = []

    def connect(self) -> None:
        """Nothing is there."""

    def disconnect(self) -> None:
        """Nothing is there."""

    def is_running(self) -> bool:
        """Never by itself."""
        return False

    def which(self) -> str:
        """Tell the driver."""
        return VERSION

    def wait(self) -> None:
        """Take an hour."""
        time.sleep(3600)
'''
TASKS = '''\
"""Tasks for tests: one waits, one is in the middle of a call, and one calls over and over."""

import time
from pathlib import Path
from typing import Any

from lab import BaseTask
from lab.errors import DriverRestarted, OutcomeUnknown


class Waiting(BaseTask):
    """Wait until the file ``gate`` exists."""

    def __init__(self, gate: str) -> None:
        self.gate = gate

    def run(self) -> dict[str, Any]:
        """Return that it is over."""
        self.lab_view.update_result("early", True)
        while not Path(self.gate).exists():
            self.lab_view.sleep(0.1)
        return {"late": True}


class Calling(BaseTask):
    """Hold a device, in a call that does not end by itself."""

    def __init__(self, device: str, gate: str) -> None:
        self.device = device
        self.gate = gate

    def run(self) -> dict[str, Any]:
        """Return the drivers before and after the call was cut off, and when that was."""
        with self.lab_view.request_resources({self.device: {}}) as (devices, _):
            device = devices[self.device]
            self.lab_view.update_result("early", device.which())
            try:
                device.wait()
            except OutcomeUnknown:
                self.lab_view.update_result("cut", time.time())
            while not Path(self.gate).exists():
                self.lab_view.sleep(0.1)
            try:
                device.which()
            except DriverRestarted:
                return {"late": device.which()}
            raise AssertionError("the death of the driver was not told")


class Asking(BaseTask):
    """Hold a device, and call it over and over."""

    def __init__(self, device: str, gate: str) -> None:
        self.device = device
        self.gate = gate

    def run(self) -> None:
        """Tell how often it answered."""
        answers = 0
        with self.lab_view.request_resources({self.device: {}}) as (devices, _):
            while not Path(self.gate).exists():
                devices[self.device].which()
                answers += 1
                self.lab_view.update_result("answers", answers)
                self.lab_view.sleep(0.02)
'''


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("restarting"), change=add_slow_things) as running:
        yield running


def add_slow_things(lab: Laboratory) -> None:
    lab.write("my_lab/devices/slow.py", DRIVER)
    lab.write("my_lab/tasks/slow.py", TASKS)
    registered, imported = "add_task(Holding)", "from .tasks.holding import"
    devices = "".join(f'\nadd_device(Slow, name="slow_{number}")' for number in (1, 2, 3))
    tasks = "\n".join(f"add_task({name})" for name in ("Asking", "Calling", "Waiting"))
    lab.edit("my_lab/__init__.py", registered, f"{registered}\n{tasks}{devices}")
    lab.edit(
        "my_lab/__init__.py",
        imported,
        f"from .devices.slow import Slow\nfrom .tasks.slow import Asking, Calling, Waiting\n{imported}",
    )


@pytest.fixture
def lab(launched: Laboratory) -> Laboratory:
    launched.settle()
    return launched


class Load:
    """Twenty tasks at work: nine that wait and four with a furnace each in one version, seven that wait in the next."""

    def __init__(self, lab: Laboratory, gate: Path) -> None:
        self.lab = lab
        self.old = [self._wait(gate) for _ in range(9)]
        self.holding = [lab.hold(f"furnace_{number}", gate) for number in (1, 2, 3, 4)]
        lab.write_code()
        lab.go_live()
        self.new = [self._wait(gate) for _ in range(7)]

    def _wait(self, gate: Path) -> str:
        task = self.lab.submit_one("Waiting", {"gate": str(gate)})
        self.lab.until(lambda: self.lab.task(task)["result"])
        return task

    def worker(self, task: str) -> psutil.Process:
        claim = self.lab.task(task)["claim"]
        assert claim is not None
        worker = self.lab.records.workers.find_one({"_id": claim["worker"]})
        assert worker is not None
        return psutil.Process(worker["identity"]["pid"])

    def completes(self, tasks: list[str]) -> None:
        """Each in its first attempt."""
        for task in tasks:
            self.lab.result(task)
            assert [attempt["outcome"] for attempt in self.lab.task(task)["attempts"]] == ["COMPLETED"]


def call(lab: Laboratory, device: str, gate: Path) -> str:
    """A task that is in the middle of a call."""
    task = lab.submit_one("Calling", {"device": device, "gate": str(gate)})
    lab.until(lambda: lab.task(task)["result"])
    lab.until(lambda: _status(lab, device)["running"])
    return task


def _status(lab: Laboratory, device: str) -> Any:
    from hotswap.wire import Client

    binding = lab.devices()[device]["binding"]
    assert binding is not None
    with Client(binding["address"], lab.token) as client:
        return client.call("status", device=device)


def test_what_is_killed_under_load_disturbs_nobody_else(lab: Laboratory, gate: Path) -> None:
    load = Load(lab, gate)
    connects = lab.connects()

    managers = lab.identity("managers")
    managers.kill()
    assert managers.wait(10)
    lab.until(lambda: answers(lab))

    worker = load.worker(load.new[0])
    worker.kill()
    for task in load.new:
        lab.reached(task, "LOST")
    assert {lab.task(task)["status"] for task in (*load.old, *load.holding)} == {"RUNNING"}

    later = lab.submit_one("Waiting", {"gate": str(gate)})  # its version has a worker again
    lab.until(lambda: lab.task(later)["result"])
    gate.touch()
    load.completes([*load.old, *load.holding, later])
    assert lab.connects() == connects
    for task in load.new:
        lab.cli("retry", task)
    for task in load.new:
        lab.result(task)


def test_a_driver_that_dies_in_a_call_is_told_at_once_and_comes_back_as_it_was(lab: Laboratory, gate: Path) -> None:
    load = Load(lab, gate)
    task = call(lab, "slow_1", gate)
    asking = lab.submit_one("Asking", {"device": "slow_3", "gate": str(gate)})
    lab.until(lambda: lab.task(asking)["result"])
    before = lab.devices()["slow_1"]["binding"]
    assert before is not None
    lab.edit("my_lab/devices/slow.py", "driver 1", "driver 2")
    lab.go_live()
    lab.until(lambda: lab.devices()["slow_2"]["binding"]["snapshot"] != before["snapshot"])  # type: ignore[index]
    connects = lab.connects()
    killed = time.time()
    psutil.Process(lab.version_processes()[before["process"]]).kill()
    told = lab.until(lambda: lab.task(task)["result"].get("cut"))
    assert told - killed < 5.0
    lab.until(lambda: lab.connects() == {**connects, "slow_1": connects["slow_1"] + 1})
    binding = lab.devices()["slow_1"]["binding"]
    assert binding is not None
    assert (binding["snapshot"], binding["digest"]) == (before["snapshot"], before["digest"])
    answered: Any = lab.task(asking)["result"]
    lab.until(lambda: lab.task(asking)["result"] != answered)  # it is still at it
    gate.touch()
    assert lab.result(task)["late"] == "driver 1"
    load.completes([*load.old, *load.holding, *load.new, asking, task])
    lab.settle()
    assert lab.devices()["slow_1"]["binding"]["snapshot"] != before["snapshot"]  # type: ignore[index]


def answers(lab: Laboratory) -> bool:
    """Whether the HTTP API is there, and reaches the database."""
    try:
        return bool(lab.client.status())
    except Exception:  # while it is being started, anything may be missing
        return False
