"""`hotswap stop` ends what runs of an application: the worker, and what a killed one left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result
from dramatiq_app import TASKS, Project, Worker

from hotswap.cli import main
from lab.services import start_broker, stop

pytestmark = pytest.mark.system

BUSY = """

@dramatiq.actor
def wait_for_ever(key):
    import threading
    tell(key, "waits")
    threading.Event().wait()
"""


@pytest.fixture
def project(tmp_path: Path, broker_url: str) -> Iterator[Project]:
    project = Project(tmp_path / "project", broker_url)
    project.write("one", TASKS + BUSY)
    yield project
    project.close()
    for process in project.processes():
        process.kill()


def stop_project(project: Project, *options: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["stop", *options, "--store", str(project.store)])
    assert result.exit_code == code, result.output
    return result


def gone(processes: list[psutil.Process]) -> bool:
    return psutil.wait_procs(processes, timeout=10)[1] == []


def test_what_a_killed_worker_left_is_ended_while_an_actor_is_busy_and_the_broker_is_away(tmp_path: Path) -> None:
    broker = start_broker(tmp_path)
    project = Project(tmp_path / "project", broker.url)
    project.write("one", TASKS + BUSY)
    worker = Worker(project, "--grace", "0")
    worker.wait_for("current")
    assert project.heard(project.send("wait_for_ever")) == "waits one"
    worker.program.kill()
    worker.program.wait()
    project.close()
    stop(broker)
    left = project.processes()
    assert len(left) == 3  # the version, its template, and what that was forked from
    ended = json.loads(stop_project(project, "bench_app", "--json").stdout)
    assert ended["worker"] is None
    assert [name.startswith("bench_app-") for name in ended["versions"]] == [True]
    assert gone(left)
    assert stop_project(project).stdout == "Nothing of bench_app runs.\n"


def test_a_worker_is_told_to_end_and_ends_what_it_looks_after(project: Project) -> None:
    worker = Worker(project)
    worker.wait_for("current")
    running = project.processes()
    told = stop_project(project).stdout
    assert told == f"bench_app is stopped: the worker, process {worker.program.pid}.\n"
    worker.wait_for("stopped")
    assert worker.program.wait() == 0
    assert gone(running)


def test_a_message_that_was_cut_off_runs_again_with_the_next_worker(project: Project) -> None:
    worker = Worker(project, "--grace", "0")
    worker.wait_for("current")
    gate = project.gate()
    cut = project.send("work", gate)
    assert project.heard(cut) == "begins one"
    worker.program.kill()
    worker.program.wait()
    stop_project(project)
    second = Worker(project)
    assert project.heard(cut) == "begins one"
    project.open_gate(gate)
    assert project.heard(cut) == "ends one"
    assert second.stop() == 0
