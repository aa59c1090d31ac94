"""Code that goes live by a barrier, in a launched lab."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from laboratory import Laboratory, laboratory

from lab.managers.barrier_gate import BarrierStep

pytestmark = pytest.mark.system

WAITING = '''\
"""Tasks that a barrier waits for."""

from pathlib import Path
from typing import Any

from lab import BaseTask


class Nesting(BaseTask):
    """Hold a furnace until the file ``gate`` exists, then ask for the arm as well."""

    def __init__(self, gate: str) -> None:
        self.gate = gate

    def run(self) -> dict[str, Any]:
        with self.lab_view.request_resources({"furnace_1": {}}) as (devices, _):
            self.lab_view.update_result("early", True)
            while not Path(self.gate).exists():
                self.lab_view.sleep(0.02)
            with self.lab_view.request_resources({"robot_arm": {}}) as (nested, _):
                nested["robot_arm"].is_running()
            devices["furnace_1"].temperature()
        return {"nested": True}


class Asking(BaseTask):
    """Ask a person, with nothing in hand."""

    def run(self) -> dict[str, Any]:
        return {"answer": self.lab_view.request_user_input("Is the door shut?", ["yes", "no"])}
'''


UNTIL_QUIET = [str(step) for step in BarrierStep][:3]


def begun(lab: Laboratory) -> str:
    """The id of a refresh whose barrier waits for somebody."""
    refresh = str(lab.client.refresh(barrier=True, wait=False)["id"])
    lab.until(lambda: (lab.client.refresh_of(refresh)["barrier"] or {}).get("blockers"))
    return refresh


def ended(lab: Laboratory, refresh: str) -> dict[str, Any]:
    lab.until(lambda: lab.client.refresh_of(refresh)["outcome"])
    return lab.client.refresh_of(refresh)


def test_code_goes_live_when_nothing_runs_and_not_when_it_is_cancelled(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with laboratory(tmp_path) as lab:
        lab.edit("lab.toml", "auto_refresh = true", "auto_refresh = false")
        lab.cli("stop")
        lab.launch()
        old = lab.code
        try:
            running = lab.hold("furnace_1", gate)
            lab.client.post("devices/furnace_4/pause", {})
            new = lab.write_code()
            lab.commit()

            cancelled = begun(lab)
            assert "cancelled" in lab.cli("refresh", "--cancel")
            assert ended(lab, cancelled)["outcome"] == "undone"

            refresh = begun(lab)
            waits_for = lab.client.refresh_of(refresh)["barrier"]["blockers"]
            assert [each["task"] for each in waits_for] == [running]
            later = lab.submit_one("Holding", {"furnace": "furnace_2", "gate": str(gate)})
        finally:
            gate.touch()
        assert ended(lab, refresh)["outcome"] == "live"
        assert lab.result(running)["late"][0] == old
        assert lab.result(later)["early"][0] == new
        lab.until(lambda: lab.client.refresh_of(refresh)["barrier"]["outcome"])
        steps = [each["step"] for each in lab.client.refresh_of(refresh)["barrier"]["steps"]]
        assert steps == [str(step) for step in BarrierStep]
        assert [name for name, device in lab.devices().items() if device["paused"]] == ["furnace_4"]

        back = json.loads(lab.cli("rollback", "1", "--barrier", "--json"))
        assert (back["outcome"], back["barrier"]["follows"]) == ("live", lab.generation() - 1)


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Laboratory]:
    """A lab that takes code live when it is told to, with the tasks above, and impatient with barriers."""
    lab = Laboratory(tmp_path / "my_lab", tmp_path / "state")
    lab.create("\n[refresh]\nbarrier_timeout = 10.0\n")
    lab.edit("lab.toml", "auto_refresh = true", "auto_refresh = false")
    lab.write("my_lab/tasks/waiting.py", WAITING)
    registry = (lab.folder / "my_lab/__init__.py").read_text()
    added = "from .tasks.waiting import Asking, Nesting\n\nadd_task(Asking)\nadd_task(Nesting)\n"
    lab.write("my_lab/__init__.py", registry + added)
    lab.commit()
    try:
        lab.launch()
        yield lab
    finally:
        lab.end()


def test_the_ten_steps_wait_for_nested_requests_and_for_people_and_not_for_ever(
    waiting: Laboratory, tmp_path: Path
) -> None:
    lab, gates = waiting, [tmp_path / "ends", tmp_path / "never"]
    lab.write_code()
    lab.commit()
    try:
        endless = lab.hold("furnace_2", gates[1])
        undone = ended(lab, begun(lab))
        assert undone["outcome"] == "undone"
        assert endless in str(undone["error"])
        assert lab.generation() == 1
    finally:
        gates[1].touch()
    lab.result(endless)

    nesting, asking = lab.submit_one("Nesting", {"gate": str(gates[0])}), lab.submit_one("Asking", {})
    lab.until(lambda: lab.task(nesting)["result"])
    (prompt,) = lab.until(lab.client.prompts)
    refresh = begun(lab)
    blockers = lab.client.refresh_of(refresh)["barrier"]["blockers"]
    assert {each["task"] for each in blockers} == {nesting, asking}
    gates[0].touch()
    assert lab.result(nesting) == {"early": True, "nested": True}
    assert [each["step"] for each in lab.client.refresh_of(refresh)["barrier"]["steps"]] == UNTIL_QUIET
    lab.client.answer(prompt["id"], "yes")
    assert lab.result(asking) == {"answer": "yes"}
    assert ended(lab, refresh)["outcome"] == "live"
    lab.until(lambda: lab.client.refresh_of(refresh)["barrier"]["outcome"])
    done = lab.client.refresh_of(refresh)["barrier"]["steps"]
    assert [each["step"] for each in done] == [str(step) for step in BarrierStep]
    assert [each["at"] for each in done] == sorted(each["at"] for each in done)
