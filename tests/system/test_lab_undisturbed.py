"""What a refresh does to those whom it does not concern: nothing, as devices and tasks tell themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from laboratory import Laboratory

import benchmarks

pytestmark = pytest.mark.system

NAMES = [*(f"steady_{n}" for n in range(8)), "tuned_0", "tuned_1"]
TASKS = 20
DRIVER = "from .told import Told\n\n\nclass {0}(Told):\n    TUNING = 0\n"


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Laboratory]:
    """A lab of ten devices that write down what is done to them; tasks use all but the idle tuned_1."""
    lab = Laboratory(tmp_path / "my_lab", tmp_path / "state")
    lab.create()
    samples = Path(benchmarks.__file__).parent
    lab.write("my_lab/devices/told.py", (samples / "told_device.py").read_text())
    lab.write("my_lab/tasks/probe.py", (samples / "probe.py").read_text())
    lab.write("my_lab/devices/steady.py", DRIVER.format("Steady"))
    lab.write("my_lab/devices/tuned.py", DRIVER.format("Tuned"))
    devices = [f'add_device({name[:-2].capitalize()}, name="{name}", folder="{tmp_path}")' for name in NAMES]
    imports = [
        "from .devices.steady import Steady",
        "from .devices.tuned import Tuned",
        "from .tasks.probe import Probe, Using, Waiting",
    ]
    tasks = [f"add_task({kind})" for kind in ("Probe", "Using", "Waiting")]
    registry = (lab.folder / "my_lab/__init__.py").read_text()
    lab.write("my_lab/__init__.py", "\n".join([registry, *imports, *devices, *tasks, ""]))
    lab.commit()
    try:
        lab.launch()
        yield lab
    finally:
        lab.end()


def events(folder: Path, name: str) -> list[str]:
    """What a device wrote down, but for its use."""
    told = [json.loads(line)["event"] for line in (folder / name).read_text().splitlines()]
    return [event for event in told if event != "use"]


def test_a_refresh_under_load_stops_no_launch_and_no_device_that_did_not_change(
    busy: Laboratory, tmp_path: Path
) -> None:
    using = [busy.submit_one("Using", {"device": name}) for name in NAMES if name != "tuned_1"]
    running = [*using, *(busy.submit_one("Waiting", {}) for _ in range(TASKS - len(using)))]
    for task in running:
        busy.reached(task, "RUNNING")
    busy.edit("my_lab/devices/tuned.py", "TUNING = 0", "TUNING = 1")
    busy.edit("my_lab/tasks/probe.py", "VERSION = 0", "VERSION = 1")
    commit = busy.commit()

    # The cutover cannot end while tuned_0 is in use, and tasks are launched all the same.
    launched = [busy.result(busy.submit_one("Probe", {}))["version"]]
    while busy.records.refreshes.find_one({"rev": commit, "outcome": "live"}) is None:
        launched.append(busy.result(busy.submit_one("Probe", {}))["version"])
    busy.until(lambda: events(tmp_path, "tuned_1") == ["connect", "disconnect", "connect"])
    assert busy.result(busy.submit_one("Probe", {}))["version"] == 1
    assert launched == sorted(launched)

    assert {name: events(tmp_path, name) for name in NAMES if name != "tuned_1"} == {
        name: ["connect"] for name in NAMES if name != "tuned_1"
    }
    assert [(busy.task(task)["status"], busy.task(task)["attempt"]) for task in running] == [("RUNNING", 1)] * TASKS
