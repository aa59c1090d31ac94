"""`hotswap worker` begins, ends and crashes: no message is lost, and nothing is left running."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner
from dramatiq_app import TASKS, Project, Worker, message, running

from hotswap.cli import main
from hotswap.generations import FileGenerations
from hotswap.source import TreeSource
from hotswap.store import Store

pytestmark = pytest.mark.system


@pytest.fixture
def project(tmp_path: Path, broker_url: str) -> Iterator[Project]:
    project = Project(tmp_path / "project", broker_url)
    yield project
    project.close()


def version_process(project: Project) -> psutil.Process:
    """The one process that runs messages."""
    (found,) = [each for each in project.processes() if log_of(each).name.startswith("bench_app-")]
    return found


def log_of(process: psutil.Process) -> Path:
    return Path(f"/proc/{process.pid}/fd/2").readlink()


def test_a_worker_that_is_told_to_end_lets_messages_finish_and_keeps_the_rest_for_the_next(project: Project) -> None:
    project.commit("one")
    with running(project, "--threads", "1") as worker:
        worker.wait_for("current")
        gate = project.gate()
        long = project.send("work", gate)
        assert project.heard(long) == "begins one"
        waiting = project.send("report", "runs")
        log = log_of(version_process(project))
        worker.program.send_signal(signal.SIGINT)
        worker.wait_for("stopping")
        while "Shutting down" not in log.read_text():
            assert worker.program.poll() is None
        project.open_gate(gate)
        assert worker.program.wait(20) == 0
        assert project.heard(long) == "ends one"
        assert project.server.llen(waiting) == 0
    with running(project) as worker:
        assert project.heard(waiting) == "runs one"
        assert worker.wait_for("current")["number"] == 1


@pytest.mark.long
def test_a_message_that_does_not_end_in_time_is_run_again_by_its_own_version(project: Project) -> None:
    project.commit("one")
    gate = project.gate()
    with running(project, "--grace", "0") as worker:
        worker.wait_for("current")
        cut = project.send("work", gate)
        assert project.heard(cut) == "begins one"
    project.commit("two")
    with running(project) as worker:
        worker.wait_for("current", number=2)
        assert project.heard(cut) == "begins one"
        project.open_gate(gate)
        assert project.heard(cut) == "ends one"
        worker.wait_for("drained")


def test_a_worker_that_is_told_to_end_does_not_wait_for_code_that_imports(project: Project) -> None:
    project.commit("one")
    with running(project) as worker:
        worker.wait_for("current")
        before = len(project.processes())
        project.write("two", TASKS + "\nimport threading\nthreading.Event().wait()\n")
        project.git("commit", "-aqm", "two")
        while len(project.processes()) == before:
            assert worker.program.poll() is None
        assert worker.stop(signal.SIGINT) == 0
    current = FileGenerations(project.store, "bench_app").current()
    assert current is not None
    assert current.number == 1


def test_code_that_the_worker_would_refuse_is_not_promoted_by_hand(project: Project) -> None:
    project.write("none", "NAME = 1\n")
    store = Store(project.store)
    snapshot = store.freeze(TreeSource(project.package)).id
    told = CliRunner().invoke(main, ["promote", snapshot[:12], "--store", str(project.store)])
    assert told.exit_code == 2
    assert "bench_app declares no actors" in told.stderr
    assert FileGenerations(project.store, "bench_app").current() is None


def test_a_killed_worker_leaves_messages_running_and_the_next_one_that_finds_the_broker_adopts_them(
    project: Project,
) -> None:
    project.commit("one")
    gate = project.gate()
    with running(project) as worker:
        worker.wait_for("current")
        long = project.send("work", gate)
        assert project.heard(long) == "begins one"
        before = version_process(project)
        worker.program.kill()
        worker.program.wait()
        without_broker = Worker(project, "--broker", "redis://127.0.0.1:1/0")
        assert without_broker.program.wait(20) == 2
        with running(project) as second:
            second.wait_for("current", number=1)
            assert version_process(project) == before
            project.open_gate(gate)
            assert project.heard(long) == "ends one"


def test_a_message_whose_process_is_killed_is_run_again_at_once(project: Project) -> None:
    project.commit("one")
    with running(project) as worker:
        worker.wait_for("current")
        gate = project.gate()
        long = project.send("work", gate)
        assert project.heard(long) == "begins one"
        version_process(project).kill()
        assert project.heard(long) == "begins one"
        project.open_gate(gate)
        assert project.heard(long) == "ends one"


def test_a_broker_that_loses_its_data_does_not_end_what_runs(project: Project) -> None:
    project.commit("one")
    with running(project, "--grace", "0") as worker:
        worker.wait_for("current")
        gate = project.gate()
        long = project.send("work", gate)
        assert project.heard(long) == "begins one"
        project.commit("two")
        worker.wait_for("current", number=2)
        project.forget_messages()
        project.commit("three")
        worker.wait_for("current", number=3)
        worker.wait_for("drained")  # two; one would be the first
        project.open_gate(gate)
        assert project.heard(long) == "ends one"
        worker.wait_for("drained")


@pytest.mark.long
def test_without_git_saved_files_go_live_and_a_restart_does_not_undo_a_roll_back(project: Project) -> None:
    project.write("one")
    with running(project) as worker:
        assert worker.wait_for("started")["follows"] == "saves"
        old = worker.wait_for("current")["snapshot"]
        project.write("two")
        worker.wait_for("current", number=2)
        options = ["promote", old, "--store", str(project.store)]
        assert CliRunner().invoke(main, options, catch_exceptions=False).exit_code == 0
        worker.wait_for("current", number=3)
    with running(project, "--no-watch") as worker:
        assert worker.wait_for("kept")["snapshot"] == old
        assert project.heard(project.send("report", "runs")) == "runs one"


@pytest.mark.long
def test_a_named_revision_runs_whatever_is_checked_out(project: Project) -> None:
    project.commit("one")
    project.git("tag", "stable")
    project.commit("two")
    with running(project, "--rev", "stable") as worker:
        worker.wait_for("current")
        assert project.heard(project.send("report", "runs")) == "runs one"


@pytest.mark.long
def test_code_that_starts_a_thread_when_it_is_imported_is_spawned_and_runs_the_same(project: Project) -> None:
    project.write("threaded", TASKS + "\nimport threading\nthreading.Thread(target=threading.Event().wait).start()\n")
    with running(project) as worker:
        worker.wait_for("current")
        long = project.send("work", None, "ends")
        assert [project.heard(long), project.heard(long)] == ["begins threaded", "ends threaded"]


@pytest.mark.long
def test_a_first_version_that_does_not_import_ends_the_worker_with_its_sentence(project: Project) -> None:
    project.write("broken", "import nothing_of_this_name")
    worker = Worker(project)
    assert worker.program.wait(20) == 2
    assert FileGenerations(project.store, "bench_app").current() is None
    assert project.processes() == []


def change_and_kill(project: Project, worker: Worker) -> None:
    for number in range(30):
        project.commit(f"version {number}")
        worker.wait_for("current")
        for process in project.processes() if number % 3 == 0 else ():
            if log_of(process).name.startswith("bench_app-"):
                process.kill()


@pytest.mark.long
def test_no_message_is_lost_while_versions_change_and_are_killed(project: Project) -> None:
    """Three senders send all the time; of every third version the process is killed."""
    project.commit("start")
    sent: list[list[int]] = [[], [], []]
    ended = threading.Event()
    key = f"{project.namespace}.all"

    def send(sender: int) -> None:
        broker = project.new_sender()
        while not ended.is_set():
            number = 3 * len(sent[sender]) + sender
            broker.enqueue(message("report", key, f"{number} from"))
            sent[sender].append(number)
        broker.close()

    with running(project) as worker:
        worker.wait_for("current")
        with ThreadPoolExecutor(3) as pool:
            sending = [pool.submit(send, sender) for sender in range(3)]
            try:
                change_and_kill(project, worker)
            finally:
                ended.set()
            for each in sending:
                each.result()
        missing = set().union(*sent)
        assert len(missing) > 1_000
        while missing:
            missing.discard(int(project.heard(key).partition(" ")[0]))
