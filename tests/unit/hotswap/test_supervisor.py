"""The supervisor of `hotswap worker`, with versions that start or do not as the test says."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from hotswap.cli import main
from hotswap.errors import DescribeError, HotswapError, NoRoomError, ProcessError
from hotswap.fleet import Fleet
from hotswap.generations import FileGenerations
from hotswap.routing import RoutingError
from hotswap.source import TreeSource
from hotswap.store import Store
from hotswap.worker import supervisor
from hotswap.worker.code import Code
from hotswap.worker.live import LiveVersions, Settings, held_for
from hotswap.worker.supervisor import Supervisor

SILENT = "redis://127.0.0.1:1/0"
PATIENCE_SECONDS = 10


class Played:
    """Versions that run nowhere; the problems are met one after another by those that start."""

    def __init__(self, *problems: Exception | None) -> None:
        self.problems = list(problems)
        self.started: list[str] = []
        self.refused: list[str] = []
        self.settles: list[Exception] = []
        self.interrupted = threading.Event()
        self.held_up = threading.Event()
        self.held_up.set()

    def interrupt(self) -> None:
        self.interrupted.set()

    def adopt(self, current: str | None) -> None:
        del current

    def start(self, snapshot: str) -> None:
        assert self.held_up.wait(PATIENCE_SECONDS)
        problem = self.problems.pop(0) if self.problems else None
        if problem is not None:
            raise problem
        self.started.append(snapshot)

    def refuse(self, snapshot: str) -> None:
        self.refused.append(snapshot)

    def settle(self, current: str) -> list[str]:
        if self.settles:
            raise self.settles.pop(0)
        return []

    def draining(self, current: str) -> list[str]:
        return []


class Run:
    """A supervisor at work, for code that is newer than what is current."""

    def __init__(self, folder: Path, live: Played) -> None:
        package = folder / "app"
        package.mkdir()
        (package / "__init__.py").write_text("NUMBER = 1\n")
        self.store = Store(folder / "store")
        self.generations = FileGenerations(self.store.root, "app")
        self._promote(self.store.freeze(TreeSource(package)).id)
        (package / "__init__.py").write_text("NUMBER = 2\n")
        self.told: queue.Queue[dict[str, Any]] = queue.Queue()
        self.supervisor = Supervisor(
            Code(package), self.store, self.generations, cast(LiveVersions, live), self._tell, follow=False
        )
        self.thread = threading.Thread(target=self.supervisor.run)

    def _promote(self, snapshot: str) -> None:
        self.generations.promote(
            snapshot, expected=None, commit=None, dirty=True, environment="e", actor="mira", reason="test"
        )

    def _tell(self, event: str, /, **facts: Any) -> None:
        self.told.put({"event": event, **facts})

    def wait_for(self, event: str, **facts: Any) -> None:
        while not {"event": event, **facts}.items() <= self.told.get(timeout=PATIENCE_SECONDS).items():
            pass


@pytest.fixture
def live() -> Played:
    return Played()


@pytest.fixture
def run(tmp_path: Path, live: Played, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setattr(supervisor, "_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(supervisor, "_LOOK_SECONDS", 0.01)
    run = Run(tmp_path, live)
    yield run
    run.supervisor.stop()
    run.thread.join(PATIENCE_SECONDS)
    assert not run.thread.is_alive()


@pytest.mark.parametrize(
    "problem", [ConnectionResetError("gone"), RoutingError("silent"), ProcessError("dead")], ids=str
)
def test_code_that_did_not_start_for_no_fault_of_its_own_is_tried_again(
    run: Run, live: Played, problem: Exception
) -> None:
    live.problems = [problem]
    run.thread.start()
    run.wait_for("refused", reason=str(problem))
    run.wait_for("current", number=2)


def test_the_same_refusal_is_told_once(run: Run, live: Played) -> None:
    live.problems = [RoutingError("silent")] * 5
    run.thread.start()
    run.wait_for("current", number=2)
    run.supervisor.stop()
    run.thread.join(PATIENCE_SECONDS)
    assert live.started == [cast(Any, run.generations.current()).snapshot]
    assert len(live.refused) == 5
    assert run.told.empty()


def test_code_that_waits_for_memory_is_told_once_however_much_is_free_meanwhile(run: Run, live: Played) -> None:
    live.problems = [NoRoomError(f"it needs {free} MB", "app") for free in range(5)]
    run.thread.start()
    run.wait_for("waits", reason="it needs 0 MB")
    assert run.told.get(timeout=PATIENCE_SECONDS)["event"] == "current"
    assert run.told.get(timeout=PATIENCE_SECONDS)["number"] == 2
    assert len(live.refused) == 5


def test_code_that_is_at_fault_is_not_tried_again(run: Run, live: Played) -> None:
    live.problems = [DescribeError("does not import")]
    live.settles = [RoutingError("silent")]
    run.thread.start()
    run.wait_for("refused")
    run.wait_for("trouble")
    run.wait_for("current", number=1)  # it has settled since
    assert live.started == []


@pytest.mark.parametrize("problem", [None, ProcessError("given up"), ConnectionResetError("gone")], ids=str)
def test_what_is_being_started_when_the_worker_is_told_to_end_is_interrupted_and_not_promoted(
    run: Run, live: Played, problem: Exception | None
) -> None:
    live.problems = [problem]
    live.held_up.clear()
    run.thread.start()
    run.supervisor.stop()
    assert live.interrupted.is_set()
    live.held_up.set()
    run.thread.join(PATIENCE_SECONDS)
    assert run.told.empty()
    assert cast(Any, run.generations.current()).number == 1


def test_a_fleet_that_stumbles_while_versions_settle_is_told_and_asked_again(run: Run, live: Played) -> None:
    live.settles = [ConnectionResetError("gone"), ProcessError("dead")]
    live.problems = [DescribeError("does not import")]
    run.thread.start()
    run.wait_for("trouble", reason="gone")
    run.wait_for("current", number=1)


def test_a_store_that_cannot_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.root.mkdir(exist_ok=True)
    (store.root / "run").touch()
    with pytest.raises(ProcessError, match=r"A worker cannot write to .*run/app .Not a directory.; name another store"):
        LiveVersions(store, "app", Settings(SILENT), lambda *_: None)


@pytest.fixture
def real(tmp_path: Path) -> Iterator[LiveVersions]:
    """Versions of a broker that does not answer."""
    live = LiveVersions(Store(tmp_path / "store"), "app", Settings(SILENT), lambda *_: None)
    yield live
    live.close()


@pytest.mark.system
def test_what_cannot_be_started_is_let_go_though_the_broker_is_silent(
    real: LiveVersions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").touch()
    store = Store(tmp_path / "store")
    snapshot = store.freeze(TreeSource(tmp_path / "app"), hold=held_for("app")).id

    def stumble(*_: object, **__: object) -> None:
        raise ConnectionResetError("gone")

    monkeypatch.setattr(Fleet, "describe", stumble)
    with pytest.raises(ProcessError, match=r"does not answer \(gone\)"):
        real.start(snapshot)
    real.refuse(snapshot)
    assert store.holds(snapshot) == ()


@pytest.mark.system
@pytest.mark.parametrize("problem", [RuntimeError("a bug"), HotswapError("damaged"), None])
def test_only_a_worker_that_was_told_to_end_ends_what_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception | None
) -> None:
    def end(_: Supervisor) -> None:
        if problem is not None:
            raise problem

    ended: list[bool] = []
    close = LiveVersions.close

    def note(self: LiveVersions, *, end: bool = True) -> None:
        ended.append(end)
        close(self, end=end)

    monkeypatch.setattr(Supervisor, "run", end)
    monkeypatch.setattr(LiveVersions, "close", note)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    (tmp_path / "app").mkdir()
    arguments = ["worker", str(tmp_path / "app"), "--broker", SILENT, "--store", str(tmp_path / "store")]
    result = CliRunner().invoke(main, arguments)
    assert ended == [problem is None]
    assert (result.exit_code == 0) == (problem is None)
