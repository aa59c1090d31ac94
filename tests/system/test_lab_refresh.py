"""New code for a launched lab: what it touches, what it leaves alone, and code that is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from laboratory import Laboratory

from hotswap.generations import Generations, SnapshotState

pytestmark = pytest.mark.system

FURNACES = {"furnace_1", "furnace_2", "furnace_3", "furnace_4"}

GREETING = """
from typing import Any

from lab import BaseTask


class Greeting(BaseTask):
    def __init__(self, whom: str) -> None:
        self.whom = whom

    def run(self) -> dict[str, Any]:
        return {"text": f"good morning, {self.whom}"}
"""


@contextmanager
def counting(lab: Laboratory) -> Iterator[dict[str, int]]:
    """Which devices are connected anew inside the block, and how often."""
    before = lab.connects()
    counted: dict[str, int] = {}
    yield counted
    lab.settle()
    counted.update({name: count - before[name] for name, count in lab.connects().items() if count != before[name]})


def recalibrate(lab: Laboratory) -> None:
    """Change what every furnace reads, by 1000 degrees."""
    lab.edit("my_lab/devices/furnace.py", "round(self._chamber.temperature_c, 2)", "_reading(self)")
    lab.edit("my_lab/devices/furnace.py", "\n\nclass Furnace", "\n\n" + READING + "\n\nclass Furnace")


READING = """def _reading(furnace):
    return round(furnace._chamber.temperature_c + 1000.0, 2)
"""


def test_a_new_task_runs_new_code_while_an_old_one_runs_the_old(lab: Laboratory, gate: Path) -> None:
    old = lab.code
    before = lab.hold("furnace_1", gate)
    new = lab.write_code()
    lab.go_live()
    after = lab.hold("furnace_2", gate)
    versions = json.loads(lab.cli("versions", "--json"))
    assert [(each["state"], each["unfinished_tasks"]) for each in versions[:2]] == [("current", 1), ("draining", 1)]
    gate.touch()
    codes = [[lab.result(task)[when][0] for when in ("early", "late")] for task in (before, after)]
    assert codes == [[old, old], [new, new]]


def test_in_a_storm_of_commits_every_result_is_of_the_code_its_pin_names(lab: Laboratory, gate: Path) -> None:
    gate.touch()
    tasks = [lab.submit_one("Holding", {"furnace": "furnace_1", "gate": str(gate)})]
    lab.result(tasks[0])
    for number in range(20):
        lab.write_code()
        last = lab.commit()
        if number % 3 == 0:
            tasks += [lab.submit_one("Holding", {"furnace": name, "gate": str(gate)}) for name in sorted(FURNACES)]
    assert lab.refresh_of(last)["outcome"] == "live"
    tasks.append(lab.submit_one("Holding", {"furnace": "furnace_1", "gate": str(gate)}))
    used = set()
    for task in tasks:
        result, pin = lab.result(task), lab.task(task)["pin"]
        assert pin is not None and pin["commit"] is not None
        assert f'CODE = "{result["early"][0]}"' in lab.content(pin["commit"], "my_lab/tasks/holding.py")
        assert result["early"][0] == result["late"][0]
        used.add(pin["snapshot"])
    assert len(used) > 1


def test_a_changed_driver_waits_for_the_furnace_that_is_held_and_for_no_other(lab: Laboratory, gate: Path) -> None:
    holder = lab.hold("furnace_1", gate)
    before = lab.connects()
    recalibrate(lab)
    refresh = lab.refresh()
    blockers = {each["device"]: each["holder"] for each in refresh["plan"]["drain_set"]}
    assert blockers == {**dict.fromkeys(FURNACES), "furnace_1": holder}
    lab.settle()
    idle = FURNACES - {"furnace_1"}
    assert lab.connects() == {name: count + (name in idle) for name, count in before.items()}

    newcomer = lab.hold("furnace_2", gate)
    gate.touch()
    assert all(lab.result(holder)[when][1] < 1000.0 for when in ("early", "late"))
    assert all(lab.result(newcomer)[when][1] > 1000.0 for when in ("early", "late"))
    lab.until(lambda: lab.connects() == {name: count + (name in FURNACES) for name, count in before.items()})


def test_a_changed_data_file_touches_only_the_device_that_reads_it(lab: Laboratory) -> None:
    with counting(lab) as connected:
        lab.edit("my_lab/data/reference_peaks.json", "[20.86, 22]", "[20.86, 23]")
        lab.go_live()
    assert connected == {"xrd": 1}


def test_a_changed_helper_touches_only_the_devices_that_use_it(lab: Laboratory) -> None:
    with counting(lab) as connected:
        lab.edit("my_lab/thermal.py", "heater_w: float = 2000.0", "heater_w: float = 2100.0")
        lab.go_live()
    assert connected == dict.fromkeys(FURNACES, 1)


def test_a_comment_in_a_driver_rebinds_nothing(lab: Laboratory, gate: Path) -> None:
    gate.touch()
    with counting(lab) as connected:
        lab.edit("my_lab/devices/furnace.py", "class Furnace", "# Four of them stand in the corner.\nclass Furnace")
        generation = lab.go_live()
        task = lab.hold("furnace_1", gate)
        lab.result(task)
    pin = lab.task(task)["pin"]
    assert pin is not None and pin["generation"] == generation
    assert connected == {}


def test_a_new_device_and_a_new_task_in_one_commit_are_used_without_a_restart(lab: Laboratory, gate: Path) -> None:
    gate.touch()
    lab.write("my_lab/tasks/greeting.py", GREETING)
    lab.edit(
        "my_lab/__init__.py",
        "add_task(Dosing)",
        'add_device(Furnace, name="furnace_5", speed_up=SPEED_UP)\nadd_task(Greeting)\nadd_task(Dosing)',
    )
    lab.edit("my_lab/__init__.py", "from .tasks import", "from .tasks.greeting import Greeting\nfrom .tasks import")
    lab.go_live()
    assert lab.result(lab.submit_one("Greeting", {"whom": "Ada"})) == {"text": "good morning, Ada"}
    assert lab.result(lab.hold("furnace_5", gate))["early"][0] == lab.code


def test_a_device_that_is_taken_out_retires_once_its_user_is_gone(lab: Laboratory, gate: Path) -> None:
    lab.edit("my_lab/__init__.py", 'add_device(Balance, name="balance"', 'add_device(Furnace, name="spare"')
    lab.go_live()
    lab.settle()
    task = lab.hold("spare", gate)
    lab.edit("my_lab/__init__.py", 'add_device(Furnace, name="spare"', 'add_device(Balance, name="balance"')
    lab.go_live()
    lab.settle()
    assert lab.devices()["spare"]["state"] == "granted"
    gate.touch()
    lab.result(task)
    lab.until(lambda: lab.devices()["spare"]["state"] == "retired")
    assert lab.devices()["balance"]["state"] == "free"


REJECTED = {
    "syntax error": ("my_lab/ramps.py", "SECONDS_PER_MINUTE = 60.0", "SECONDS_PER_MINUTE = = 60.0", "invalid syntax"),
    "failing import": ("my_lab/ramps.py", "SECONDS_PER_MINUTE = 60.0", "SECONDS_PER_MINUTE = 60.0 / 0", "division"),
    "failing constructor": (
        "my_lab/devices/balance.py",
        "        self._errors = Random()",
        "        raise RuntimeError('no licence')",
        "no licence",
    ),
}


@pytest.mark.parametrize(("path", "good", "bad", "told"), REJECTED.values(), ids=REJECTED.keys())
def test_code_that_does_not_work_is_rejected_with_file_and_line_and_the_lab_goes_on(
    lab: Laboratory, gate: Path, path: str, good: str, bad: str, told: str
) -> None:
    gate.touch()
    generation = lab.generation()
    line = (lab.folder / path).read_text().partition(good)[0].count("\n") + 1
    with counting(lab) as connected:
        lab.edit(path, good, bad)
        refresh = lab.refresh()
        assert (refresh["outcome"], refresh["path"], refresh["line"]) == ("rejected", path, line)
        assert told in refresh["error"] and "\n" not in refresh["error"]
        assert lab.result(lab.hold("furnace_1", gate))["early"][0] == lab.code
    assert connected == {}
    assert lab.generation() == generation
    assert "refresh.rejected" in {event["kind"] for event in lab.client.get("events")}
    lab.edit(path, bad, good)
    assert lab.refresh()["outcome"] == "unchanged"
    lab.until(lambda: not never_live(lab))


def test_a_command_rolls_back_to_an_earlier_generation(lab: Laboratory, gate: Path) -> None:
    gate.touch()
    first, old = lab.generation(), lab.code
    lab.write_code()
    second = lab.go_live()
    rolled_back = json.loads(lab.cli("rollback", str(first), "--json"))
    assert (rolled_back["outcome"], rolled_back["generation"]) == ("live", second + 1)
    assert lab.result(lab.hold("furnace_1", gate))["early"][0] == old
    assert lab.refused("rollback", "4711").startswith("lab: ")
    lab.write_code()
    assert lab.go_live() == second + 2


def test_a_collection_leaves_the_code_that_tasks_ran(lab: Laboratory, gate: Path) -> None:
    gate.touch()
    task = lab.hold("furnace_1", gate)
    lab.result(task)
    ran = lab.client.get(f"tasks/{task}")["pin"]["snapshot"]
    decisions = json.loads(lab.cli("collect", "--json"))["decisions"]
    assert {each["snapshot"]: each["keep"] for each in decisions}[ran]


def test_a_plan_tells_what_would_change_and_changes_nothing(lab: Laboratory) -> None:
    def state() -> dict[str, Any]:
        return {
            "generation": lab.generation(),
            "refreshes": lab.records.refreshes.count_documents({}),
            "devices": lab.devices(),
            "snapshots": {each.snapshot for each in Generations(lab.records.database).states.all()},
            "never live": never_live(lab),
        }

    before = state()
    recalibrated = lab.propose(
        lambda: lab.edit("my_lab/devices/robot_arm.py", "TRAVEL_SECONDS = 20.0", "TRAVEL_SECONDS = 21.0")
    )
    plan = json.loads(lab.cli("plan", recalibrated, "--json"))
    assert [each["device"] for each in plan["drain_set"]] == ["robot_arm"]
    assert plan["files"]["changed"] == ["my_lab/devices/robot_arm.py"]
    assert any("TRAVEL_SECONDS" in line for line in plan["why"]["devices"]["robot_arm"])
    assert plan["refused"] == []
    broken = lab.propose(lambda: lab.edit("my_lab/ramps.py", "SECONDS_PER_MINUTE = 60.0", "SECONDS_PER_MINUTE = ="))
    refused = lab.client.plan(broken)["refused"]
    assert [(each["path"], each["line"]) for each in refused] == [("my_lab/ramps.py", 5)]
    assert state() == before


def test_after_many_refreshes_nothing_of_the_old_versions_is_left(lab: Laboratory) -> None:
    def left() -> dict[str, Any]:
        return {
            "processes": len(lab.version_processes()),
            "templates": len([each for each in lab.client.get("processes") if each["kind"] == "template"]),
            "keys": broker_keys(lab),
        }

    lab.until(lambda: retired_all(lab))
    before = left()
    superseded = set()
    for _ in range(6):
        superseded.add(lab.client.status()["snapshot"])
        lab.write_code()
        lab.go_live()
    lab.until(lambda: retired_all(lab))
    lab.until(lambda: left() == before)
    bound = {device["binding"]["snapshot"] for device in lab.devices().values() if device["binding"]}
    states = {each.snapshot: each.state for each in Generations(lab.records.database).states.all()}
    assert {states[snapshot] for snapshot in superseded - bound} == {SnapshotState.DRAINED}


def retired_all(lab: Laboratory) -> bool:
    """Whether only the current version has a worker, and no other is on its way out."""
    workers = [name for name in lab.version_processes() if name.startswith("worker-")]
    leaving = Generations(lab.records.database).states.all(SnapshotState.CLOSING)
    return not leaving and workers == [f"worker-{lab.client.status()['snapshot'][:12]}"]


def broker_keys(lab: Laboratory) -> int:
    with redis.Redis.from_url(json.loads((lab.state / "run" / "broker.json").read_text())["url"]) as client:
        return len(client.keys())


def never_live(lab: Laboratory) -> set[str]:
    """The code versions that have a process although they were never live."""
    live = {each["snapshot"] for each in lab.client.get("versions")}
    return {each["snapshot"] for each in lab.client.get("processes") if each["snapshot"]} - live
