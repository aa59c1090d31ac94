"""`hotswap worker` keeps to the memory it is given, and holds versions to limits while they import."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dramatiq_app import TASKS, Project, running

pytestmark = pytest.mark.system

LARGE = TASKS + '\nBALLAST = b"x" * (100 << 20)\n'
ROOM_FOR_TWO = "300"


@pytest.fixture
def project(tmp_path: Path, broker_url: str) -> Iterator[Project]:
    project = Project(tmp_path / "project", broker_url)
    yield project
    project.close()


def test_a_version_without_room_waits_until_another_is_drained_and_nothing_is_ended(project: Project) -> None:
    project.write("one", LARGE)
    with running(project, "--memory", ROOM_FOR_TWO) as worker:
        worker.wait_for("current", number=1)
        gate = project.gate()
        long = project.send("work", gate)
        assert project.heard(long) == "begins one"
        project.write("two", LARGE)
        worker.wait_for("current", number=2)
        project.write("three", LARGE)
        assert f"of {ROOM_FOR_TWO} MB are used" in worker.wait_for("waits")["reason"]
        assert project.heard(project.send("report", "runs")) == "runs two"
        project.open_gate(gate)
        assert project.heard(long) == "ends one"
        worker.wait_for("drained")
        worker.wait_for("current", number=3)
        assert project.heard(project.send("report", "runs")) == "runs three"


@pytest.mark.parametrize(
    ("options", "text", "limit"),
    [
        (("--import-timeout", "4"), "import threading\nthreading.Event().wait()\n", "4 s of time"),
        (("--import-memory", "900"), "y = bytearray(2 << 30)\n", "900 MB of memory"),
    ],
    ids=["time", "memory"],
)
def test_a_version_that_passes_a_limit_is_refused_and_told_which(
    project: Project, options: tuple[str, str], text: str, limit: str
) -> None:
    project.write("one")
    with running(project, *options) as worker:
        worker.wait_for("current", number=1)
        project.write("two", TASKS + text)
        assert f"the limit of {limit} in bench_app/tasks.py" in worker.wait_for("refused")["reason"]
