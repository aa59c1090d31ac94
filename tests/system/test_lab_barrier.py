"""Code that goes live by a barrier, in a launched lab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from laboratory import Laboratory, laboratory

from lab.managers.barrier_gate import BarrierStep

pytestmark = pytest.mark.system


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
