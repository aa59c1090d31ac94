"""A driver that hangs in C code and holds the lock of its interpreter, in a launched lab with one real instrument."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from laboratory import Laboratory
from tutorial import blocks

pytestmark = pytest.mark.system

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "connect-an-instrument.md"
SIMULATE = 'simulate = ["furnace_*", "robot_arm", "powder_doser", "balance", "xrd"] '
JAM = '''
    def jam(self) -> None:
        """Heat, then hang with all threads of this process."""
        import ctypes

        self.heat_to(901)
        ctypes.PyDLL(None).sleep(60)
'''
TASKS = '''"""Tasks for tests."""

from lab import BaseTask


class Jamming(BaseTask):
    """Have the tube furnace hang."""

    def run(self) -> None:
        with self.lab_view.request_resources({"tube_furnace": {}}) as (devices, _):
            devices["tube_furnace"].jam()


class Reading(BaseTask):
    """Ask all the others."""

    def run(self) -> list[float]:
        names = [f"furnace_{number}" for number in (1, 2, 3, 4)]
        with self.lab_view.request_resources({name: {} for name in names} | {"balance": {}}) as (devices, _):
            return [devices[name].temperature() for name in names] + [devices["balance"].weigh(5.0)]
'''
REGISTRATION = """
from .devices.tube_furnace import TubeFurnace
from .tasks.jamming import Jamming, Reading

add_device(TubeFurnace, name="tube_furnace", host="127.0.0.1", port={port})
add_task(Jamming)
add_task(Reading)
"""
SERVE = """
from my_lab.twin_server import TwinServer
with TwinServer(0) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
"""
STOP_SECONDS = 2.0


class Instrument:
    """The twin of the tube furnace, as a program of its own that many can talk to."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", SERVE]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        with self.process.stdout as told:
            self.port = int(told.readline())

    def ask(self, text: str) -> str:
        with socket.create_connection(("127.0.0.1", self.port), 5.0) as line:
            line.sendall(f"{text}\n".encode())
            return line.makefile().readline().strip()

    def until(self, setpoint: str) -> float:
        """Wait until it is on its way there; the time when it was found to be."""
        deadline = time.monotonic() + 30.0
        while self.ask("SP?") != setpoint:
            assert time.monotonic() < deadline, f"it does not go to {setpoint}"
        return time.monotonic()


@pytest.fixture(scope="module")
def stuck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Laboratory, Instrument]]:
    folder = tmp_path_factory.mktemp("stuck")
    lab = Laboratory(folder / "my_lab", folder / "state")
    lab.create()
    files = {block.attribute.partition("=")[2]: block.text for block in blocks(GUIDE) if "file=" in block.attribute}
    for name, text in files.items():
        lab.write(name, text + JAM if name.endswith("tube_furnace.py") and "devices" in name else text)
    lab.write("my_lab/tasks/jamming.py", TASKS)
    instrument = Instrument(lab.folder)
    package = (lab.folder / "my_lab" / "__init__.py").read_text()
    lab.write("my_lab/__init__.py", package + REGISTRATION.format(port=instrument.port))
    lab.edit("lab.toml", "simulation = true ", "simulation = false ")
    lab.edit("lab.toml", "# simulate = [] ", SIMULATE)
    lab.commit()
    try:
        lab.launch()
        yield lab, instrument
    finally:
        lab.end()
        instrument.process.kill()
        instrument.process.wait()


def templates(lab: Laboratory) -> list[str]:
    """The code versions that a process could be forked for at once."""
    return [each["snapshot"] for each in lab.client.get("processes") if each["kind"] == "template" and each["alive"]]


def test_only_the_instrument_that_is_meant_is_real(stuck: tuple[Laboratory, Instrument]) -> None:
    lab, _ = stuck
    simulated = {name: device["simulated"] for name, device in lab.devices().items()}
    assert [name for name, pretends in simulated.items() if not pretends] == ["tube_furnace"]
    status = lab.client.status()
    assert (status["simulation"], status["simulate_unmatched"]) == (False, [])
    assert "devices are real, all but furnace_*, robot_arm" in lab.cli("status")
    assert lab.records.database.name == "my_lab"  # not my_lab_sim


@pytest.mark.parametrize("driver", ["of current code", "of older code"])
def test_the_others_answer_and_an_emergency_stop_reaches_the_instrument(
    stuck: tuple[Laboratory, Instrument], driver: str
) -> None:
    lab, instrument = stuck
    if driver == "of older code":
        lab.write_code()
        lab.go_live()  # which ends the template that the driver came from
        lab.settle()
        lab.until(lambda: len(templates(lab)) == 1)
    task = lab.submit_one("Jamming", {})
    instrument.until("901.0")
    assert len(lab.result(lab.submit_one("Reading", {}))) == 5
    assert instrument.ask("SP?") == "901.0"
    began = time.monotonic()
    lab.client.emergency_stop("tube_furnace")
    stopped = instrument.until("OFF")
    assert stopped - began < STOP_SECONDS
    assert "OutcomeUnknown" in str(lab.reached(task, "ERROR")["error"])
    assert lab.devices()["tube_furnace"]["paused"]
    lab.client.release("tube_furnace")
    lab.settle()
