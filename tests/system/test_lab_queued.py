"""Queued tasks that new code does not take, in a launched lab under each policy."""

from __future__ import annotations

from pathlib import Path

import pytest
from laboratory import Laboratory, laboratory

pytestmark = pytest.mark.system

CLEANING = """        self.gate = gate
        if furnace == "furnace_2":
            raise ValueError("furnace_2 is being cleaned")"""
ALSO_LONG = [pytest.param(policy, marks=pytest.mark.long) for policy in ("refuse", "keep")]


def refuse_a_queued_task(lab: Laboratory, gate: Path) -> tuple[str, str, dict[str, object]]:
    """A task at work, one that waits for it, and the refresh to code that does not take what waits."""
    work = {"type": "Holding", "parameters": {"furnace": "furnace_1", "gate": str(gate)}}
    tasks = [work, {**work, "parameters": {**work["parameters"], "furnace": "furnace_2"}, "prev_tasks": [0]}]  # type: ignore[dict-item]
    experiment = lab.client.experiment(lab.client.submit({"name": "queued", "tasks": tasks}))
    running, queued = (str(task["id"]) for task in experiment["tasks"])
    lab.until(lambda: lab.task(running)["result"])
    lab.write_code()
    lab.edit("my_lab/tasks/holding.py", "        self.gate = gate", CLEANING)
    return running, queued, lab.refresh()


@pytest.mark.parametrize("policy", ["hold", *ALSO_LONG])
def test_a_queued_task_that_does_not_fit_is_treated_as_the_policy_says(tmp_path: Path, policy: str) -> None:
    gate = tmp_path / "gate"
    with laboratory(tmp_path, f'\n[policy]\nqueued = "{policy}"\n') as lab:
        old = lab.code
        try:
            running, queued, refresh = refuse_a_queued_task(lab, gate)
        finally:
            gate.touch()
        lab.result(running)
        if policy == "refuse":
            assert refresh["outcome"] == "rejected"
            assert f"Holding {queued}: furnace_2 is being cleaned" in str(refresh["error"])
        else:
            assert refresh["outcome"] == "live"
        if policy == "hold":
            lab.until(lambda: lab.task(queued)["reason"])
            assert "furnace_2 is being cleaned" in str(lab.task(queued)["reason"])
            assert "furnace_2 is being cleaned" in lab.refused("move", queued)
            lab.cli("edit", queued, "furnace=furnace_3")
            assert lab.result(queued)["late"][0] == lab.code
        else:
            assert lab.result(queued)["late"][0] == old
