"""A task of a launched lab is cancelled in each state in which it does not run yet, and never runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import pytest
from laboratory import Laboratory, laboratory

pytestmark = pytest.mark.system

CAPACITY = 2

State = Callable[[Laboratory, Path], AbstractContextManager[str]]


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("states"), f"\n[worker]\ncapacity = {CAPACITY}\n") as running:
        yield running


@pytest.fixture
def lab(launched: Laboratory) -> Laboratory:
    launched.settle()
    return launched


def submit(lab: Laboratory, gate: Path) -> str:
    """A task that wants the furnace that another holds."""
    return lab.submit_one("Holding", {"furnace": "furnace_1", "gate": str(gate)})


@contextmanager
def waiting(lab: Laboratory, gate: Path) -> Iterator[str]:
    """It comes after a task that runs."""
    work = {"type": "Holding", "parameters": {"furnace": "furnace_1", "gate": str(gate)}}
    experiment = lab.client.submit({"name": "states", "tasks": [work, {**work, "prev_tasks": [0]}]})
    first, second = (str(task["id"]) for task in lab.client.experiment(experiment)["tasks"])
    lab.until(lambda: lab.task(first)["result"])
    yield second


@contextmanager
def ready(lab: Laboratory, gate: Path) -> Iterator[str]:
    """The worker runs as many as it takes."""
    for furnace in range(1, CAPACITY + 1):
        lab.hold(f"furnace_{furnace}", gate)
    yield submit(lab, gate)


@contextmanager
def initiated(lab: Laboratory, gate: Path) -> Iterator[str]:
    """Its worker is stopped before it can claim it."""
    claim = lab.task(lab.hold("furnace_1", gate))["claim"]
    worker = lab.records.workers.find_one({"_id": claim["worker"] if claim else None})
    assert worker is not None
    process = psutil.Process(worker["identity"]["pid"])
    process.suspend()
    try:
        yield submit(lab, gate)
    finally:
        process.resume()


@contextmanager
def requesting_resources(lab: Laboratory, gate: Path) -> Iterator[str]:
    """It asks for what another holds."""
    lab.hold("furnace_1", gate)
    yield submit(lab, gate)


@pytest.mark.parametrize("state", [waiting, ready, initiated, requesting_resources])
def test_a_task_is_cancelled_before_it_runs(lab: Laboratory, gate: Path, state: State) -> None:
    with state(lab, gate) as task:
        lab.reached(task, state.__name__.upper())
        lab.cli("cancel", task)
        if state is not requesting_resources:  # nobody else has it in hand
            assert lab.task(task)["status"] == "CANCELLED"
    lab.reached(task, "CANCELLED")
    gate.touch()
    lab.until(lambda: not lab.records.devices.find_one({"holder": {"$ne": None}}))
    lab.result(submit(lab, gate))  # the worker takes others, and the furnace is free
    assert (lab.task(task)["status"], lab.task(task)["result"]) == ("CANCELLED", None)
