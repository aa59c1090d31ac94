"""Cancelling work that does not want to end in a launched lab: beside other tasks, and in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from laboratory import Laboratory, laboratory

pytestmark = pytest.mark.system

SETTINGS = "\n[worker]\ncancel_grace = 1.0\nunreachable_after = 3.0\n"
TASKS = '''\
"""Tasks for tests: one hangs in C code, and one does whatever tasks do in a process of its own."""

import ctypes
import os
from pathlib import Path
from typing import Any, ClassVar, Literal

from lab import BaseTask

from .holding import Holding


class Hanging(BaseTask):
    """Hold a furnace, and sleep where no exception gets."""

    def __init__(self, furnace: str) -> None:
        self.furnace = furnace

    def run(self) -> None:
        """Hang."""
        with self.lab_view.request_resources({self.furnace: {}}):
            self.lab_view.update_result("pid", os.getpid())
            self.hang()

    def hang(self) -> None:
        """Let other threads go on."""
        ctypes.CDLL(None).sleep(3600)


class Seizing(Hanging):
    """Hang so that nothing else in the process goes on."""

    isolation: ClassVar[Literal["thread", "process"]] = "process"

    def hang(self) -> None:
        """Keep the lock of the interpreter."""
        ctypes.PyDLL(None).sleep(3600)


class Apart(BaseTask):
    """Run a Holding in a process of its own."""

    isolation: ClassVar[Literal["thread", "process"]] = "process"

    def __init__(self, furnace: str, gate: str) -> None:
        self.furnace = furnace
        self.gate = gate

    def run(self) -> dict[str, Any]:
        """Return what the part returned, and the process."""
        self.lab_view.update_result("pid", os.getpid())
        told = self.lab_view.run_subtask(Holding, furnace=self.furnace, gate=self.gate)
        return {"told": told, "beside": Path(__file__).name}
'''


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    made = laboratory(tmp_path_factory.mktemp("cancelling"), SETTINGS, add_hard_tasks)
    with made as running:
        yield running


def add_hard_tasks(lab: Laboratory) -> None:
    lab.write("my_lab/tasks/hard.py", TASKS)
    registered = "add_task(Holding)"
    more = "".join(f"\nadd_task({name})" for name in ("Hanging", "Seizing", "Apart"))
    imported = "from .tasks.holding import"
    lab.edit("my_lab/__init__.py", registered, registered + more)
    lab.edit("my_lab/__init__.py", imported, f"from .tasks.hard import Apart, Hanging, Seizing\n{imported}")


@pytest.fixture
def lab(launched: Laboratory) -> Laboratory:
    launched.settle()
    return launched


def begin(lab: Laboratory, kind: str, **parameters: Any) -> tuple[str, int]:
    """A task that runs, and the process it runs in."""
    task = lab.submit_one(kind, parameters)
    result: Any = lab.until(lambda: lab.task(task)["result"])
    return task, result["pid"]


def holder(lab: Laboratory, device: str) -> str | None:
    return lab.devices()[device]["holder"]


def test_a_task_in_c_code_is_abandoned_beside_others_that_go_on(lab: Laboratory, gate: Path) -> None:
    other = lab.hold("furnace_2", gate)
    task, worker = begin(lab, "Hanging", furnace="furnace_1")
    lab.cli("cancel", task)
    told = lab.reached(task, "ABANDONED")
    assert told["message"] == "It was cancelled and did not end within 1 s; retry or cancel it."
    assert holder(lab, "furnace_1") == task
    status = lab.cli("status")
    assert f"to be decided: Hanging {task} is ABANDONED" in status
    assert f"stuck: code of {task}" in status
    gate.touch()
    lab.result(other)
    lab.cli("cancel", task)
    lab.until(lambda: holder(lab, "furnace_1") is None)
    assert lab.task(task)["status"] == "CANCELLED"
    assert psutil.pid_exists(worker)


def test_the_worker_of_an_older_version_goes_with_stuck_code_once_that_is_decided_on(lab: Laboratory) -> None:
    task, worker = begin(lab, "Hanging", furnace="furnace_1")
    lab.write_code()
    lab.go_live()
    lab.cli("cancel", task)
    lab.reached(task, "ABANDONED")
    assert psutil.pid_exists(worker)
    lab.cli("cancel", task)
    lab.until(lambda: not psutil.pid_exists(worker))


def test_cancelling_stops_the_devices_when_asked(lab: Laboratory, gate: Path) -> None:
    task = lab.hold("furnace_3", gate)
    lab.cli("cancel", task, "--stop-devices")
    lab.reached(task, "CANCELLED")
    device = lab.devices()["furnace_3"]
    assert (device["paused"], device["stopped"]) == (True, True)
    lab.cli("release", "furnace_3")


def test_a_task_in_a_process_of_its_own_does_what_any_task_does(lab: Laboratory, gate: Path) -> None:
    task, process = begin(lab, "Apart", furnace="furnace_1", gate=str(gate))
    assert process not in set(lab.version_processes().values()) - {own_process(lab, task)}
    lab.until(lambda: holder(lab, "furnace_1") == task)
    lab.write_code()
    told = lab.task(task)
    lab.go_live()
    shown = lab.cli("tasks", task)
    assert f"task-{task}-1 (pid {process}" in shown
    assert "MB" in shown
    gate.touch()
    result = lab.result(task)
    early, late = result["told"]["early"][0], result["told"]["late"][0]
    assert early == late != lab.code
    assert result["beside"] == "hard.py"
    assert lab.task(task)["attempts"][0]["snapshot"] == told["pin"]["snapshot"]
    lab.until(lambda: not psutil.pid_exists(process))
    lab.until(lambda: lab.records.workers.find_one({"_id": {"$regex": f"^task-{task}"}}) is None)


def own_process(lab: Laboratory, task: str) -> int | None:
    return lab.version_processes().get(f"task-{task}-1")


def test_native_code_in_a_process_of_its_own_is_killed_when_it_is_cancelled(lab: Laboratory, gate: Path) -> None:
    other = lab.hold("furnace_2", gate)
    task, process = begin(lab, "Seizing", furnace="furnace_1")
    lab.cli("cancel", task)
    told = lab.reached(task, "CANCELLED")
    assert told["reason"] == "It was cancelled, and its process ended."
    assert not psutil.pid_exists(process)
    lab.until(lambda: holder(lab, "furnace_1") is None)
    gate.touch()
    lab.result(other)


def test_a_task_whose_own_process_is_killed_by_somebody_else_is_lost(lab: Laboratory) -> None:
    task, process = begin(lab, "Seizing", furnace="furnace_1")
    psutil.Process(process).kill()
    lab.reached(task, "LOST")
    assert holder(lab, "furnace_1") == task
    lab.cli("cancel", task)
    lab.until(lambda: holder(lab, "furnace_1") is None)


def test_a_process_of_its_own_outlives_managers_and_supervisor(lab: Laboratory, gate: Path) -> None:
    task, process = begin(lab, "Apart", furnace="furnace_1", gate=str(gate))
    for name in ("supervisor", "managers"):
        identity = lab.identity(name)
        identity.kill()
        assert identity.wait(10)
    lab.launch()
    assert psutil.pid_exists(process)
    gate.touch()
    lab.result(task)
    assert len(lab.task(task)["attempts"]) == 1
    lab.until(lambda: not psutil.pid_exists(process))


def worker_of(lab: Laboratory, task: str) -> psutil.Process:
    """The process that runs a task."""
    claim = lab.task(task)["claim"]
    assert claim is not None
    worker = lab.records.workers.find_one({"_id": claim["worker"]})
    assert worker is not None
    return psutil.Process(worker["identity"]["pid"])


def test_a_worker_that_says_nothing_is_unreachable_and_loses_nothing(lab: Laboratory, gate: Path) -> None:
    task = lab.hold("furnace_1", gate)
    worker = worker_of(lab, task)
    worker.suspend()
    try:
        lab.until(lambda: lab.client.task(task)["unreachable_since"])
        assert "gives no sign of life since" in lab.cli("status")
        assert "gives no sign of life since" in lab.cli("tasks", task)
        assert (lab.task(task)["status"], holder(lab, "furnace_1")) == ("RUNNING", task)
    finally:
        worker.resume()
    lab.until(lambda: not lab.client.task(task)["unreachable_since"])
    gate.touch()
    lab.result(task)


def test_a_worker_that_comes_back_after_its_task_was_given_up_moves_nothing(lab: Laboratory, tmp_path: Path) -> None:
    gate, other_gate = tmp_path / "gate", tmp_path / "other"
    task = lab.hold("furnace_1", gate)
    worker = worker_of(lab, task)
    worker.suspend()
    try:
        lab.write_code()
        lab.go_live()
        lab.cli("cancel", task)
        lab.reached(task, "ABANDONED")
        lab.cli("cancel", task)
        other = lab.hold("furnace_1", other_gate)
        before = lab.task(task)
        calls = lab.records.calls.count_documents({"task": task})
        gate.touch()
    finally:
        worker.resume()
    worker.wait(30)  # of an older version, it retires once its thread has ended
    assert lab.task(task) == before
    assert lab.records.calls.count_documents({"task": task}) == calls
    assert holder(lab, "furnace_1") == other
    other_gate.touch()
    lab.result(other)


def test_stop_finds_processes_of_single_tasks(lab: Laboratory) -> None:
    """Last: the lab is launched again for whoever comes next."""
    task, process = begin(lab, "Seizing", furnace="furnace_1")
    lab.cli("stop", "--force")
    assert not psutil.pid_exists(process)
    assert lab.left_running() == []
    lab.launch()
    lab.reached(task, "LOST")
    lab.cli("cancel", task)
