"""A library is upgraded in place: refused while the lab runs, taken up at a launch; old work waits for the old one."""

from __future__ import annotations

from pathlib import Path

import pytest
from distributions import Site
from laboratory import Laboratory, laboratory

from hotswap.generations import Generations, SnapshotState

pytestmark = [pytest.mark.system, pytest.mark.long]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path / "site")
    made.install("library", "1.0")
    monkeypatch.setenv("PYTHONPATH", str(made.folder))
    return made


def is_in(lab: Laboratory, snapshot: str, state: SnapshotState) -> bool:
    return Generations(lab.records.database).states.state(snapshot) is state


def test_an_upgrade_in_place_is_refused_then_taken_up_by_a_launch_and_old_work_waits_for_its_environment(
    tmp_path: Path, site: Site
) -> None:
    with laboratory(tmp_path) as lab:
        lab.edit("my_lab/ramps.py", "SECONDS_PER_MINUTE = 60.0", "import library  # noqa\n\nSECONDS_PER_MINUTE = 60.0")
        first = lab.go_live()
        pinned = lab.client.status()["snapshot"]
        lab.settle()
        task = lab.hold("furnace_1", tmp_path / "gate")

        site.install("library", "2.0")
        lab.write_code()
        refused = lab.refresh()
        assert refused["outcome"] == "rejected"
        assert "library 1.0 -> 2.0" in refused["error"]
        assert "library 1.0 -> 2.0" in lab.client.plan()["refused"][0]["reason"]
        lab.until(lambda: lab.client.status()["environment"] == [["library", "1.0", "2.0"]])
        assert lab.generation() == first
        assert lab.task(task)["status"] == "RUNNING"

        lab.cli("stop", "--force")
        lab.launch()
        assert lab.generation() == first + 1
        assert lab.client.status()["environment"] == []
        lab.until(lambda: is_in(lab, pinned, SnapshotState.STRANDED))
        assert lab.task(task)["status"] == "LOST"
        assert task in lab.cli("status")
        (tmp_path / "gate").touch()
        assert lab.result(lab.submit_one("Holding", {"furnace": "furnace_2", "gate": str(tmp_path / "gate")}))

        site.install("library", "1.0")
        lab.until(lambda: is_in(lab, pinned, SnapshotState.DRAINING))
        lab.client.retry(task)
        assert lab.result(task)["early"][0] == "code 1"
