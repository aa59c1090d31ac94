"""`hotswap worker`: messages of a plain dramatiq project keep to the version that was current when they were sent."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from dramatiq_app import TASKS, Project, Worker, running

from hotswap.cli import main
from hotswap.store import Store

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[Project]:
    project = Project(tmp_path_factory.mktemp("pinning") / "project", broker_url)
    project.commit("start")
    yield project
    project.close()


@pytest.fixture(scope="module")
def shared(project: Project) -> Iterator[Worker]:
    with running(project) as worker:
        worker.wait_for("current", number=1)
        yield worker


@pytest.fixture
def worker(shared: Worker, project: Project) -> Worker:
    """The shared worker, after it took a commit of version one."""
    project.git("commit", "-q", "--allow-empty", "-m", "a mark that changes no code")
    take(shared, project, "one")
    return shared


def take(worker: Worker, project: Project, version: str) -> str:
    """Commit a version that is not current, and wait until it is; the id of its snapshot."""
    project.commit(version)
    return str(worker.wait_for("current")["snapshot"])


def test_a_long_actor_keeps_its_version_across_a_promotion_while_new_messages_run_the_new_one(
    worker: Worker, project: Project
) -> None:
    gate = project.gate()
    long = project.send("work", gate, "ends")
    assert project.heard(long) == "begins one"

    take(worker, project, "two")
    assert project.heard(project.send("report", "runs")) == "runs two"

    project.open_gate(gate)
    assert project.heard(long) == "ends one", "it imports late, and what it sends stays in its version"
    worker.wait_for("drained")


def test_delays_retries_and_pipelines_stay_in_the_version_they_were_sent_to(worker: Worker, project: Project) -> None:
    gate = project.gate()
    busy = project.send("work", gate)
    assert project.heard(busy) == "begins one"
    delayed = project.send("report", "runs", delay=700)
    failing = project.send("fail_once")
    assert project.heard(failing) == "fails one"
    take(worker, project, "two")
    assert project.heard(failing) == "succeeds one"
    assert project.heard(delayed) == "runs one"
    project.open_gate(gate)
    assert project.heard(busy) == "ends one"
    worker.wait_for("drained")


@pytest.mark.long
def test_a_time_limit_of_an_actor_holds(worker: Worker, project: Project) -> None:
    assert project.heard(project.send("hang")) == "interrupted one"
    take(worker, project, "two")


def test_code_that_does_not_import_is_refused_with_file_and_line_and_the_old_goes_on(
    worker: Worker, project: Project
) -> None:
    project.write("broken", TASKS + "\n\nthis is no Python\n")
    project.git("commit", "-qam", "Break it")
    refused = worker.wait_for("refused")
    assert (refused["path"], refused["line"]) == ("bench_app/tasks.py", TASKS.count("\n") + 3)
    assert project.heard(project.send("report", "runs")) == "runs one"
    take(worker, project, "two")


def test_code_that_sends_while_it_is_imported_is_refused(worker: Worker, project: Project) -> None:
    project.write("sending", TASKS + "\nreport.send('key', 'word')\n")
    project.git("commit", "-qam", "Send at import")
    assert "sent while the code is imported" in worker.wait_for("refused")["reason"]
    take(worker, project, "two")


def test_code_without_actors_is_refused(worker: Worker, project: Project) -> None:
    project.write("empty", "")
    project.git("commit", "-qam", "Forget the actors")
    assert "decorate a function with @dramatiq.actor" in worker.wait_for("refused")["reason"]
    take(worker, project, "two")


def test_promoting_by_hand_rolls_back_while_messages_run(worker: Worker, project: Project) -> None:
    old = current(project)
    take(worker, project, "two")
    gate = project.gate()
    long = project.send("work", gate)
    assert project.heard(long) == "begins two"

    cli(project, "promote", old[:16], "--reason", "two burns samples")
    assert project.heard(project.send("report", "runs")) == "runs one", "from the moment of the promotion"
    told = worker.wait_for("current", snapshot=old)
    assert told["rolled_back_to"] is not None

    project.open_gate(gate)
    assert project.heard(long) == "ends two"
    history = json.loads(cli(project, "generations", "bench_app", "--json"))
    assert (history[0]["reason"], history[0]["snapshot"]) == ("two burns samples", old)
    take(worker, project, "two again")


def test_live_versions_are_held_in_the_store_and_drained_ones_are_not(worker: Worker, project: Project) -> None:
    store = Store(project.store)
    old = current(project)
    gate = project.gate()
    long = project.send("work", gate)
    assert project.heard(long) == "begins one"
    new = take(worker, project, "two")
    assert store.holds(old) == store.holds(new) == ("worker bench_app",)
    project.open_gate(gate)
    worker.wait_for("drained", snapshot=old)
    assert (store.holds(old), store.holds(new)) == ((), ("worker bench_app",))


def test_no_keys_of_drained_versions_stay_on_the_broker(worker: Worker, project: Project) -> None:
    for version in ("three", "four", "five"):
        snapshot = take(worker, project, version)
        worker.wait_for("drained")
        assert project.heard(project.send("report", "runs")) == f"runs {version}"
    kept = {key for key in project.lasting_keys() if snapshot[:12] not in key}
    assert kept == {"__heartbeats__", "hotswap.bench_app.open"}
    assert len(project.consumers()) == 1


def test_a_second_worker_on_the_same_store_is_refused(worker: Worker, project: Project) -> None:
    second = Worker(project)
    assert second.program.wait(20) == 2


def current(project: Project) -> str:
    return cli(project, "current").strip()


def cli(project: Project, *arguments: str) -> str:
    run = CliRunner().invoke(main, [*arguments, "--store", str(project.store)], catch_exceptions=False)
    assert run.exit_code == 0, run.output
    return run.output
