"""The managers process as its supervisor sees it, with programs that stand for the managers."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from executables import executable

from hotswap.process import DeathWatch, Identity
from lab.server.settings import Settings
from lab.services import ServiceError, managers, supervisor
from lab.services.managers import ManagersProcess, ready_seconds, record_of
from lab.settings.config import LabConfig, load

READS_AND_HANGS = """
import os, pathlib, sys, time
sys.stdin.read()
pathlib.Path("began.new").write_text(str(os.getpid()))
os.rename("began.new", "began")
time.sleep(60)
"""
ANSWERS = """
import json, pathlib, sys, time
sys.stdin.read()
from hotswap.process import Identity
from hotswap.files import write_private
record = {"identity": Identity.mine().to_dict(), "url": "http://127.0.0.1:1"}
write_private(pathlib.Path("run/managers.json"), json.dumps(record))
time.sleep(60)
"""


@pytest.fixture
def config(tmp_path: Path) -> LabConfig:
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "__init__.py").touch()
    (tmp_path / "lab.toml").write_text('[general]\nstate_dir = "state"\n[refresh]\ntemplate_timeout = 90\n')
    for name in ("logs", "run"):
        (tmp_path / "state" / name).mkdir(parents=True)
    return load(tmp_path, {})


@pytest.fixture
def ended() -> threading.Event:
    return threading.Event()


@pytest.fixture
def process(config: LabConfig, ended: threading.Event) -> Iterator[ManagersProcess]:
    settings = Settings(
        config=config, mongo_uri="mongodb://h", database="d", broker_url="redis://h", fleet_address=("127.0.0.1", 1)
    )
    watch = DeathWatch()
    made = ManagersProcess(settings, watch, ended)
    yield made
    made.stop()
    watch.close()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts another program in the place of the managers."""
    path, python = tmp_path / "python", sys.executable

    def put(code: str) -> None:
        (tmp_path / "program.py").write_text(code)
        executable(path, f"#!/bin/sh\nexec {python} {tmp_path / 'program.py'}\n")

    monkeypatch.setattr(sys, "executable", str(path))
    return put


def until(ask: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not ask():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_managers_that_cannot_be_started_are_told_in_a_sentence(process: ManagersProcess, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(tmp_path / "missing"))
        with pytest.raises(ServiceError, match=r"The managers could not be started \(.*missing.*\): .*log: "):
            process.start(adopt=True)


def test_managers_that_end_before_they_read_their_settings_are_told(
    process: ManagersProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: int) -> Identity:
        raise ProcessLookupError(3, "No such process")

    monkeypatch.setattr(Identity, "of", gone)
    with pytest.raises(ServiceError, match="The managers could not be started"):
        process.start(adopt=True)


def test_managers_come_back_although_a_restart_failed(
    process: ManagersProcess,
    config: LabConfig,
    program: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    program(ANSWERS)
    failed = threading.Event()
    monkeypatch.setattr(managers, "restart_delay", lambda _: 0.01)
    monkeypatch.setattr(managers.log, "error", lambda *_: failed.set())
    process.start(adopt=True)
    record = record_of(config.general.state_dir)
    first = Identity.from_dict(json.loads(record.read_text())["identity"])
    (tmp_path / "python").chmod(0o600)
    first.kill()
    assert failed.wait(10)
    (tmp_path / "python").chmod(0o755)
    until(lambda: record.exists() and json.loads(record.read_text())["identity"]["pid"] != first.pid)


def test_managers_that_were_at_work_for_long_come_back_as_fast_as_the_first_time(
    process: ManagersProcess, config: LabConfig, program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    program(ANSWERS)
    deaths: list[int] = []
    monkeypatch.setattr(managers, "restart_delay", lambda count: deaths.append(count) or 0.01)
    monkeypatch.setattr(managers, "_SHORT_LIFE_SECONDS", -1.0)
    process.start(adopt=True)
    record = record_of(config.general.state_dir)
    for count in (1, 2):
        running = Identity.from_dict(json.loads(record.read_text())["identity"])
        until(lambda running=running: process._identity == running)  # else it would die while it is started
        running.kill()
        until(lambda count=count: len(deaths) == count)
        until(lambda dead=running: record.exists() and f'"pid": {dead.pid},' not in record.read_text())
    assert deaths == [1, 1]


def test_managers_that_end_again_and_again_are_told_of(
    process: ManagersProcess, config: LabConfig, program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    program(ANSWERS)
    told: list[str] = []
    monkeypatch.setattr(process, "_alarm", told.append)
    monkeypatch.setattr(managers, "restart_delay", lambda _: 0.01)
    (config.general.state_dir / "logs" / "managers.log").write_text("no disk\n")
    process.start(adopt=True)
    record = record_of(config.general.state_dir)
    for _ in range(3):
        assert told == []
        running = Identity.from_dict(json.loads(record.read_text())["identity"])
        until(lambda running=running: process._identity == running)
        running.kill()
        until(lambda dead=running: record.exists() and f'"pid": {dead.pid},' not in record.read_text())
    assert len(told) == 1
    assert told[0].startswith("The managers ended 3 times within")
    assert told[0].endswith("no disk")


def test_a_start_is_given_up_when_the_laboratory_ends(
    process: ManagersProcess, config: LabConfig, program: Callable[[str], None], ended: threading.Event
) -> None:
    program(READS_AND_HANGS)
    began = config.general.state_dir / "began"

    def end() -> None:
        until(began.exists)
        ended.set()

    ending = threading.Thread(target=end)
    ending.start()
    with pytest.raises(ServiceError, match="were stopped while starting"):
        process.start(adopt=True)
    ending.join()
    with pytest.raises(ProcessLookupError):
        Identity.of(int(began.read_text()))


def test_there_is_time_to_import_the_code_of_the_lab(config: LabConfig) -> None:
    assert ready_seconds(config) > config.refresh.template_timeout


def test_a_launch_that_takes_too_long_leaves_nothing_running(
    config: LabConfig, program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = config.general.state_dir
    program(f"import os, time; open({str(state / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    monkeypatch.setattr(supervisor, "ready_seconds", lambda _: 1.0)
    with pytest.raises(ServiceError, match="did not start within 1 s"):
        supervisor.launch(config, detach=True)
    with pytest.raises(ProcessLookupError):
        Identity.of(int((state / "pid").read_text()))
