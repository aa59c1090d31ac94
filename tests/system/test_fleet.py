"""Version processes for real: forked or spawned, side by side, outliving their parents."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from hotswap import wire
from hotswap.errors import DescribeError, ProcessError
from hotswap.fleet import Fleet, Limits, Started
from hotswap.process import Identity
from hotswap.source import TreeSource
from hotswap.store import Store

pytestmark = pytest.mark.system

ENTRY = "sample_app.service:main"

SERVICE = """
import os, random, subprocess, sys, threading
from multiprocessing import get_context
from hotswap.process import serve
from . import VERSION

def lazily():
    from . import late
    return late.VALUE

def child():
    from . import VERSION
    return VERSION

def in_subprocess():
    command = [sys.executable, "-m", "sample_app.child"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

def in_spawned_process():
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(child)

def main(context):
    if context.arguments.get("fail"):
        raise RuntimeError("told to fail")
    handlers = {
        "version": lambda: VERSION, "lazily": lazily, "in_subprocess": in_subprocess,
        "in_spawned_process": in_spawned_process,
        "random": lambda: random.random(), "descriptors": lambda: len(os.listdir("/proc/self/fd")),
        "session": lambda: os.getsid(0) == os.getpid(), "arguments": lambda: context.arguments,
        "exit": lambda: os._exit(7),
    }
    serve(context, handlers, idle=lambda: True, unclaimed_seconds=context.arguments.get("unclaimed", 60.0))
"""

Freeze = Callable[..., str]


def describe(package: str) -> dict[str, Any]:
    import importlib

    return {"version": importlib.import_module(package).VERSION}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def freeze(tmp_path: Path, store: Store) -> Freeze:
    package = tmp_path / "source" / "sample_app"
    package.mkdir(parents=True)

    def _freeze(version: int, **files: str) -> str:
        (package / "__init__.py").write_text(files.pop("init", "") + f"\nVERSION = {version}\n")
        (package / "service.py").write_text(SERVICE)
        (package / "late.py").write_text(f"VALUE = 'late {version}'\n")
        (package / "child.py").write_text("from sample_app import VERSION\nprint(VERSION)\n")
        for name, text in files.items():
            (package / f"{name}.py").write_text(textwrap.dedent(text))
        return store.freeze(TreeSource(package)).id

    return _freeze


@pytest.fixture
def start_fleet(tmp_path: Path, store: Store) -> Iterator[Callable[[], Fleet]]:
    fleets = []
    secret = secrets.token_hex()

    def start() -> Fleet:
        fleet = Fleet(store, tmp_path / "run", secret, limits=Limits(seconds=15))
        fleet.adopt()
        fleets.append((fleet, secret))
        return fleet

    yield start
    fleets[-1][0].close(end=True)
    assert [run.name for run in (tmp_path / "run").glob("*.run.json")] == []
    _, left = psutil.wait_procs(_processes_with(str(tmp_path)), timeout=10)
    assert left == []


def _processes_with(text: str) -> list[psutil.Process]:
    """Processes whose output goes to a file below the folder: every version process logs there."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            log = Path(f"/proc/{process.pid}/fd/2").readlink()
            if str(log).startswith(text) and process.status() != "zombie":
                found.append(process)
    return found


@pytest.fixture
def fleet(start_fleet: Callable[[], Fleet]) -> Fleet:
    return start_fleet()


def ask(fleet: Fleet, started: Started, op: str) -> Any:
    with wire.Client(started.address, fleet._templates._secret, timeout=30) as client:
        return client.call(op)


def threaded(init: str = "") -> dict[str, str]:
    """A package that starts a thread when it is imported, so that its workers have to be spawned."""
    return {"init": "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n" + init}


@pytest.mark.parametrize("files", [{}, threaded()], ids=["forked", "spawned"])
class TestSideBySide:
    def test_two_versions_run_at_once_each_with_its_own_code(self, fleet: Fleet, freeze: Freeze, files: Any) -> None:
        one = fleet.ensure("one", freeze(1, **files), ENTRY, {})
        two = fleet.ensure("two", freeze(2, **files), ENTRY, {})
        assert [ask(fleet, process, "version") for process in (one, two)] == [1, 2]
        assert [ask(fleet, process, "lazily") for process in (one, two)] == ["late 1", "late 2"]

    def test_child_processes_find_the_same_version(self, fleet: Fleet, freeze: Freeze, files: Any) -> None:
        one = fleet.ensure("one", freeze(1, **files), ENTRY, {})
        fleet.ensure("two", freeze(2, **files), ENTRY, {})
        assert ask(fleet, one, "in_subprocess") == "1"
        assert ask(fleet, one, "in_spawned_process") == 1

    def test_siblings_draw_different_random_numbers(self, fleet: Fleet, freeze: Freeze, files: Any) -> None:
        snapshot = freeze(1, **files)
        drawn = {ask(fleet, fleet.ensure(f"p{i}", snapshot, ENTRY, {}), "random") for i in range(3)}
        assert len(drawn) == 3

    def test_a_process_leads_its_own_session_with_no_inherited_descriptors(
        self, fleet: Fleet, freeze: Freeze, files: Any
    ) -> None:
        snapshot = freeze(1, **files)
        counts = [ask(fleet, fleet.ensure(f"p{i}", snapshot, ENTRY, {}), "descriptors") for i in range(3)]
        assert counts[0] == counts[2]
        assert ask(fleet, fleet.ensure("p0", snapshot, ENTRY, {}), "session")


def test_whether_a_snapshot_can_be_forked_is_told(fleet: Fleet, freeze: Freeze) -> None:
    assert fleet.describe(freeze(1))["forks"]
    assert not fleet.describe(freeze(2, **threaded()))["forks"]


def test_every_module_is_imported_before_workers_are_made(fleet: Fleet, freeze: Freeze) -> None:
    modules = fleet.describe(freeze(1))["modules"]
    assert set(modules) == {"sample_app", "sample_app.service", "sample_app.late", "sample_app.child"}


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("x = 1\ndef broken(:\n", 2, "SyntaxError"),
        ("import no_such_module_anywhere\n", 1, "ModuleNotFoundError"),
        ("x = 1\n\nx / 0\n", 3, "ZeroDivisionError"),
        ("raise SystemExit('stop')\n", 1, "SystemExit"),
    ],
)
def test_what_does_not_import_is_refused_with_file_and_line(
    fleet: Fleet, freeze: Freeze, text: str, line: int, what: str
) -> None:
    with pytest.raises(DescribeError, match=what) as caught:
        fleet.describe(freeze(1, extra=text))
    assert (caught.value.path, caught.value.line) == ("sample_app/extra.py", line)


def test_a_package_that_never_finishes_importing_is_refused(
    tmp_path: Path, store: Store, freeze: Freeze, start_fleet: Any
) -> None:
    start_fleet()
    hurried = Fleet(store, tmp_path / "run2", "s", limits=Limits(seconds=1.0))
    with pytest.raises(DescribeError, match=r"limit of 1 s of time in sample_app/extra.py, line 1"):
        hurried.describe(freeze(1, extra="while True: pass\n"))
    hurried.close(end=True)


def test_a_package_that_kills_its_process_is_refused(fleet: Fleet, freeze: Freeze) -> None:
    with pytest.raises(DescribeError, match="signal 11"):
        fleet.describe(freeze(1, extra="import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"))


def test_a_process_that_fails_to_start_says_why(fleet: Fleet, freeze: Freeze) -> None:
    with pytest.raises(ProcessError, match="RuntimeError: told to fail"):
        fleet.ensure("one", freeze(1), ENTRY, {"fail": True})


def test_ensuring_twice_gives_the_same_process(fleet: Fleet, freeze: Freeze) -> None:
    snapshot = freeze(1)
    assert fleet.ensure("one", snapshot, ENTRY, {}) == fleet.ensure("one", snapshot, ENTRY, {})


def test_a_stopped_process_ends_and_is_forgotten(fleet: Fleet, freeze: Freeze) -> None:
    started = fleet.ensure("one", freeze(1), ENTRY, {})
    fleet.stop("one", grace=10)
    assert not started.identity.alive()
    assert "one" not in {process["name"] for process in fleet.processes()}


def _successor(fleet: Fleet, started: Started, snapshot: str) -> Started:
    assert started.identity.wait(10)
    return fleet.ensure(started.name, snapshot, ENTRY, {})


def test_a_killed_process_is_started_again(fleet: Fleet, freeze: Freeze) -> None:
    snapshot = freeze(1)
    started = fleet.ensure("one", snapshot, ENTRY, {})
    started.identity.kill()
    again = _successor(fleet, started, snapshot)
    assert again.instance != started.instance
    assert ask(fleet, again, "version") == 1


def test_the_death_of_zygote_and_template_does_not_end_workers(fleet: Fleet, freeze: Freeze) -> None:
    snapshot = freeze(1)
    started = fleet.ensure("one", snapshot, ENTRY, {})
    for process in fleet.processes():
        if process["kind"] != "process":
            identity = Identity.from_dict(process["identity"])
            identity.kill()
            assert identity.wait(10)
    assert ask(fleet, started, "version") == 1
    assert ask(fleet, fleet.ensure("two", snapshot, ENTRY, {}), "version") == 1


def test_the_next_fleet_adopts_what_runs(start_fleet: Callable[[], Fleet], freeze: Freeze) -> None:
    snapshot = freeze(1)
    first = start_fleet()
    started = first.ensure("one", snapshot, ENTRY, {})
    first.close()
    assert start_fleet().ensure("one", snapshot, ENTRY, {}) == started


def test_the_next_fleet_starts_again_what_died_meanwhile(start_fleet: Callable[[], Fleet], freeze: Freeze) -> None:
    snapshot = freeze(1)
    first = start_fleet()
    started = first.ensure("one", snapshot, ENTRY, {"kept": 1})
    first.close()
    started.identity.kill()
    assert started.identity.wait(10)
    second = start_fleet()
    again = second.ensure("one", snapshot, ENTRY, {})
    assert ask(second, again, "arguments") == {"kept": 1}


def test_an_unclaimed_idle_process_ends_by_itself(start_fleet: Callable[[], Fleet], freeze: Freeze) -> None:
    first = start_fleet()
    started = first.ensure("one", freeze(1), ENTRY, {"unclaimed": 0.2})
    assert started.identity.alive()
    first.close()
    assert started.identity.wait(10)
    start_fleet()


def test_no_zombie_is_left_by_processes_that_ended(fleet: Fleet, freeze: Freeze) -> None:
    snapshot = freeze(1)
    pids = [fleet.ensure(f"p{i}", snapshot, ENTRY, {}).identity.pid for i in range(3)]
    for i in range(3):
        fleet.stop(f"p{i}", grace=10)
    fleet.ensure("last", snapshot, ENTRY, {})
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def _parents(fleet: Fleet) -> list[Identity]:
    return [Identity.from_dict(each["identity"]) for each in fleet.processes() if each["kind"] != "process"]


def test_after_a_kill_the_next_process_of_that_name_is_another(fleet: Fleet, freeze: Freeze) -> None:
    snapshot = freeze(1)
    killed = fleet.ensure("one", snapshot, ENTRY, {})
    fleet.kill("one")
    assert not killed.identity.alive()
    assert fleet.ensure("one", snapshot, ENTRY, {}).instance != killed.instance


def test_a_template_that_was_too_slow_once_serves_again(
    tmp_path: Path, store: Store, freeze: Freeze, start_fleet: Any
) -> None:
    start_fleet()
    hurried = Fleet(store, tmp_path / "run2", "s", limits=Limits(seconds=1.0))
    snapshot = freeze(1)
    hurried.ensure("one", snapshot, ENTRY, {})
    template = _parents(hurried)
    for identity in template:
        identity.signal(signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        hurried.ensure("two", snapshot, ENTRY, {"unclaimed": 0.2})
    for identity in template:
        identity.signal(signal.SIGCONT)
    assert hurried.ensure("three", snapshot, ENTRY, {}).identity.alive()
    hurried.close(end=True)


def test_a_process_that_died_is_started_again_from_the_template_that_runs(
    start_fleet: Callable[[], Fleet], freeze: Freeze
) -> None:
    first = start_fleet()
    started = first.ensure("one", freeze(1), ENTRY, {})
    before = _parents(first)
    first.close()
    started.identity.kill()
    assert started.identity.wait(10)
    assert set(_parents(start_fleet())) == set(before)


def test_parents_that_nobody_wants_end_by_themselves(
    start_fleet: Callable[[], Fleet], freeze: Freeze, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotswap.fleet._templates.UNCLAIMED_SECONDS", 0.2)
    first = start_fleet()
    first.ensure("one", freeze(1), ENTRY, {"unclaimed": 0.2})
    parents = _parents(first)
    assert len(parents) == 2
    first.close()
    assert all(identity.wait(10) for identity in parents)
    start_fleet()


def test_sigterm_ends_a_process(fleet: Fleet, freeze: Freeze) -> None:
    started = fleet.ensure("one", freeze(1), ENTRY, {})
    os.kill(started.identity.pid, signal.SIGTERM)
    assert started.identity.wait(10)
