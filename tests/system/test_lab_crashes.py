"""Parts of a launched lab are killed while a task is at work: the task goes on, and what died comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from laboratory import Laboratory, laboratory

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("crashing")) as launched:
        yield launched


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def at_work(lab: Laboratory, gate: Path) -> Iterator[str]:
    """A task that holds furnace_1; at the end of the test it has to complete, in its first attempt."""
    lab.settle()
    task = lab.hold("furnace_1", gate)
    yield task
    gate.touch()
    lab.result(task)
    told = lab.task(task)
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["COMPLETED"]
    lab.until(lambda: lab.devices()["furnace_1"]["state"] == "free")


def kill(lab: Laboratory, *names: str) -> None:
    """Kill processes at once, and wait until they are dead."""
    identities = [lab.identity(name) for name in names]
    for identity in identities:
        identity.kill()
    assert all(identity.wait(10) for identity in identities)


def works(lab: Laboratory, gate: Path) -> bool:
    """Run another task from submission to its end."""
    lab.until(lambda: answers(lab))
    gate.touch()
    return bool(lab.result(lab.hold("furnace_2", gate)))


def answers(lab: Laboratory) -> bool:
    """Whether the HTTP API is there, and reaches the database."""
    try:
        return bool(lab.client.status())
    except Exception:  # while it is being started, anything may be missing
        return False


def replaced(lab: Laboratory, name: str, before: Any) -> bool:
    """Whether another process runs under the name."""
    try:
        now = lab.identity(name)
    except (FileNotFoundError, KeyError):  # it is just being started
        return False
    return bool(now != before and now.alive())


@pytest.mark.parametrize("name", ["managers", "broker", "database"])
def test_what_dies_comes_back_and_the_task_never_knew(lab: Laboratory, at_work: str, tmp_path: Path, name: str) -> None:
    before, processes = lab.identity(name), lab.version_processes()
    kill(lab, name)
    lab.until(lambda: replaced(lab, name, before))
    assert works(lab, tmp_path / "another")
    assert lab.version_processes() == processes


def test_a_task_ends_while_there_are_no_managers(lab: Laboratory, at_work: str, gate: Path) -> None:
    supervisor = psutil.Process(lab.identity("supervisor").pid)
    supervisor.suspend()  # so that nobody starts them again
    try:
        kill(lab, "managers")
        gate.touch()
        lab.result(at_work)
    finally:
        supervisor.resume()
    lab.until(lambda: answers(lab))


def test_everything_goes_on_without_the_supervisor_and_the_next_one_adopts_it(
    lab: Laboratory, at_work: str, tmp_path: Path
) -> None:
    running = lab.version_processes()
    others = {name: lab.identity(name) for name in ("managers", "database", "broker")}
    kill(lab, "supervisor")
    assert works(lab, tmp_path / "meanwhile")
    lab.launch()
    assert lab.version_processes() == running
    assert {name: lab.identity(name) for name in others} == others
    assert works(lab, tmp_path / "later")


def test_a_task_outlives_all_that_can_be_started_again(lab: Laboratory, at_work: str, tmp_path: Path) -> None:
    running = lab.version_processes()
    kill(lab, "supervisor", "managers", "database", "broker")
    lab.launch()
    assert lab.version_processes() == running
    assert works(lab, tmp_path / "another")


def test_a_task_is_told_that_the_driver_of_its_device_died(lab: Laboratory, gate: Path) -> None:
    """What the driver knew is gone with it, so a task must not take the new one's answers for those of the old."""
    lab.settle()
    task = lab.hold("furnace_1", gate)
    binding = lab.devices()["furnace_1"]["binding"]
    assert binding is not None
    before = lab.version_processes()
    psutil.Process(before[binding["process"]]).kill()
    lab.until(
        lambda: lab.version_processes().get(binding["process"], before[binding["process"]]) not in before.values()
    )
    gate.touch()
    assert "DriverRestarted" in str(lab.reached(task, "ERROR")["error"])
    lab.until(lambda: lab.devices()["furnace_1"]["state"] == "free")
    assert lab.result(lab.hold("furnace_1", gate))


def test_stop_ends_everything_also_without_a_supervisor(lab: Laboratory) -> None:
    """Last: the lab is launched again for whoever comes next."""
    kill(lab, "supervisor")
    lab.cli("stop", "--force")
    assert lab.left_running() == []
    lab.launch()
