"""In a launched lab, from a sample to each code that made it: two versions, uncommitted edits, a lost attempt."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from laboratory import Laboratory

pytestmark = pytest.mark.system


@pytest.fixture
def saving(tmp_path: Path) -> Iterator[Laboratory]:
    """A lab that takes files live as they are saved."""
    lab = Laboratory(tmp_path / "my_lab", tmp_path / "state")
    lab.create()
    lab.edit("lab.toml", 'trigger = "commit"', 'trigger = "save"')
    lab.commit()
    try:
        lab.launch()
        yield lab
    finally:
        lab.end()


def lose(lab: Laboratory, task: str) -> None:
    """Kill the worker that has a task."""
    pin = lab.task(task)["pin"]
    assert pin is not None
    psutil.Process(lab.version_processes()[f"worker-{pin['snapshot'][:12]}"]).kill()
    lab.reached(task, "LOST")


def checked_out(lab: Laboratory, snapshot: str, folder: Path) -> Path:
    """The folder, with the files of a code version in it."""
    program = Path(sys.executable).parent / "hotswap"
    command = [program, "checkout", snapshot, folder, "--store", lab.state / "store"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return folder


def test_a_sample_names_each_code_that_made_it_and_that_code_comes_back_with_its_edits(
    saving: Laboratory, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    first, committed = saving.generation(), saving.code
    holding: dict[str, Any] = {
        "type": "Holding",
        "parameters": {"furnace": "furnace_1", "gate": str(gate)},
        "samples": ["quartz"],
    }
    row = [holding, {**holding, "prev_tasks": [0]}]
    submitted = saving.client.submit({"name": "two versions", "samples": [{"name": "quartz"}], "tasks": row})
    before, after = (str(each["id"]) for each in saving.client.experiment(submitted)["tasks"])
    saving.until(lambda: saving.task(before)["result"])
    edited = saving.write_code()
    saving.until(lambda: saving.generation() > first)
    lose(saving, before)
    saving.cli("retry", before)
    gate.touch()
    assert saving.result(before)["late"][0] == committed
    assert saving.result(after)["late"][0] == edited
    saving.cli("rollback", str(first))

    told = json.loads(saving.cli("blame", "quartz", "--since", "--json"))
    facts = ("task", "attempt", "outcome", "generation", "dirty")
    assert [tuple(each[fact] for fact in facts) for each in told["tasks"]] == [
        (before, 1, "LOST", first, False),
        (before, 2, "COMPLETED", first, False),
        (after, 1, "COMPLETED", first + 1, True),
    ]
    assert {each["author"] for each in told["tasks"]} == {"test <test@localhost>"}
    assert all(each["parameters"] == holding["parameters"] and each["environment"] for each in told["tasks"])
    # The code that was rolled back to is that of the first task, so only that of the second has changed since.
    assert [(each["type"], each["generation"]) for each in told["since"]["tasks"]] == [("Holding", first + 1)]

    dirty = told["tasks"][-1]["snapshot"]
    (sample,) = json.loads(saving.cli("samples", "--version", dirty[:12], "--json"))
    assert sample["name"] == "quartz"
    came_back = checked_out(saving, dirty, tmp_path / "as-it-ran") / "my_lab" / "tasks" / "holding.py"
    assert came_back.read_text() == (saving.folder / "my_lab/tasks/holding.py").read_text()
    assert f'CODE = "{edited}"' in came_back.read_text()
