"""Two tasks of a launched lab hold a device each and ask for the other's: told of, and ended where that is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from laboratory import Laboratory, laboratory

pytestmark = pytest.mark.system

SETTINGS = '\n[policy]\ndeadlock = "fail_youngest"\n'
TASKS = '''\
"""A task for tests that asks for a second device while it holds the first."""

import time
from pathlib import Path

from lab import BaseTask


class Crossing(BaseTask):
    """Hold one device, wait for the file ``gate``, and ask for another."""

    def __init__(self, first: str, second: str, gate: str) -> None:
        self.first = first
        self.second = second
        self.gate = gate

    def run(self) -> bool:
        """Ask."""
        with self.lab_view.request_resources({self.first: {}}):
            self.lab_view.update_result("holds", self.first)
            while not Path(self.gate).exists():
                time.sleep(0.02)
            with self.lab_view.request_resources({self.second: {}}):
                return True
'''


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("crossing"), request.param, add_crossing) as launched:
        yield launched


def add_crossing(lab: Laboratory) -> None:
    lab.write("my_lab/tasks/crossing.py", TASKS)
    lab.edit("my_lab/__init__.py", "add_task(Holding)", "add_task(Holding)\nadd_task(Crossing)")
    imported = "from .tasks.holding import"
    lab.edit("my_lab/__init__.py", imported, f"from .tasks.crossing import Crossing\n{imported}")


def crossed(lab: Laboratory, gate: Path) -> list[str]:
    """Two tasks, each of which has what the other wants."""
    devices = ("furnace_1", "furnace_2")
    tasks = []
    for first, second in zip(devices, reversed(devices), strict=True):
        tasks.append(lab.submit_one("Crossing", {"first": first, "second": second, "gate": str(gate)}))
        lab.until(lambda task=tasks[-1]: lab.task(task)["result"])
    gate.touch()
    return tasks


@pytest.mark.parametrize("lab", [""], indirect=True)
def test_it_is_named_and_ends_when_one_task_is_cancelled(lab: Laboratory, tmp_path: Path) -> None:
    one, two = crossed(lab, tmp_path / "gate")
    told = lab.until(lambda: lab.client.status()["deadlocks"])
    assert [set(each["tasks"]) for each in told] == [{one, two}]
    assert "This is a deadlock: it waits for furnace_" in lab.cli("status")
    lab.cli("cancel", two)
    assert lab.result(one)["returned"]
    lab.until(lambda: lab.client.status()["deadlocks"] == [])


@pytest.mark.parametrize("lab", [SETTINGS], indirect=True)
def test_the_youngest_fails_and_the_other_goes_on_where_that_is_wanted(lab: Laboratory, tmp_path: Path) -> None:
    tasks = crossed(lab, tmp_path / "gate")
    ended = lab.until(lambda: [task for task in tasks if lab.task(task)["status"] == "ERROR"])
    assert len(ended) == 1
    assert "It was refused as the youngest of them." in (lab.task(ended[0])["error"] or "")
    (other,) = set(tasks) - set(ended)
    assert lab.result(other)["returned"]
    (event,) = lab.records.events.find({"kind": "deadlock.found"})
    assert set(event["facts"]["tasks"]) == set(tasks)
