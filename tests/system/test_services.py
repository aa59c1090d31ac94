from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pymongo
import pytest
import redis
from pymongo import MongoClient, monitoring

from hotswap.process import DeathWatch, Identity
from lab.services import Service, ServiceError, adopt, answers, start_broker, start_database, stop
from lab.services import database as database_module
from lab.services import keeper as keeper_module
from lab.services.keeper import Keeper

pytestmark = pytest.mark.system

STARTERS = {"database": start_database, "broker": start_broker}


@pytest.fixture(params=["database", "broker"])
def starter(request: pytest.FixtureRequest, state_dir: Path) -> Iterator[Callable[[Path], Service]]:
    yield STARTERS[request.param]
    left = adopt(state_dir, request.param)
    if left is not None:
        stop(left)


def test_a_started_server_answers_and_a_stopped_one_leaves_nothing(
    starter: Callable[[Path], Service], state_dir: Path
) -> None:
    service = starter(state_dir)
    assert answers(service.url)
    stop(service)
    assert not service.identity.alive()
    assert not answers(service.url, timeout=0.2)
    assert not any((state_dir / "run").iterdir())


def test_no_client_repeats_a_write_to_the_database_by_itself(mongo_uri: str) -> None:
    """A server that died has forgotten what it did: the repeated write would find nothing to do, and say so."""

    class Writes(monitoring.CommandListener):
        def started(self, event: monitoring.CommandStartedEvent) -> None:
            seen.append(dict(event.command))

        def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

        def failed(self, event: monitoring.CommandFailedEvent) -> None: ...

    seen: list[dict[str, object]] = []
    with MongoClient[dict[str, object]](mongo_uri, event_listeners=[Writes()]) as client:
        client["test_writes"]["things"].update_one({"_id": 1}, {"$set": {"done": True}}, upsert=True)
    written = next(command for command in seen if "update" in command)
    assert "txnNumber" not in written  # it numbers those that it may repeat


def test_a_later_supervisor_adopts_the_server(starter: Callable[[Path], Service], state_dir: Path) -> None:
    service = starter(state_dir)
    found = adopt(state_dir, service.name)
    assert found == service
    assert starter(state_dir) == service


def test_a_server_whose_starter_was_killed_before_it_told_of_it_is_adopted(
    starter: Callable[[Path], Service], state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException): ...

    def killed(identity: Identity) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Identity, "to_dict", killed)
        starter(state_dir)
    (name,) = (path.stem for path in (state_dir / "run").iterdir())
    wait_until(lambda: adopt(state_dir, name) is not None)
    found = adopt(state_dir, name)
    assert found is not None
    assert starter(state_dir) == found


def test_a_killed_server_is_not_adopted_and_comes_back_at_the_same_address(
    starter: Callable[[Path], Service], state_dir: Path
) -> None:
    service = starter(state_dir)
    service.identity.kill()
    assert service.identity.wait(5)
    assert adopt(state_dir, service.name) is None
    again = starter(state_dir)
    assert again.url == service.url
    assert again.identity != service.identity


def test_another_port_is_chosen_when_the_old_one_is_taken(starter: Callable[[Path], Service], state_dir: Path) -> None:
    service = starter(state_dir)
    stop(service)
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bind(squatter, urlsplit(service.url).port or 0)
        squatter.listen()
        again = starter(state_dir)
    assert again.address != service.address
    assert answers(again.url)


def test_a_server_with_users_comes_back_at_its_port_only(
    starter: Callable[[Path], Service], state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = threading.Event()
    monkeypatch.setattr(keeper_module.log, "error", lambda *_: refused.set())
    watch = DeathWatch()
    name = next(name for name, start in STARTERS.items() if start is starter)
    keeper = Keeper(name, STARTERS[name], state_dir, watch)
    service = keeper.start(same_port=False)
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keeper_module, "restart_delay", lambda _: 0.2)
            service.identity.kill()
            bind(squatter, urlsplit(service.url).port or 0)
            squatter.listen()
            assert refused.wait(10)
            squatter.close()
            wait_until(lambda: answers(service.url))
    keeper.stop()
    watch.close()
    assert adopt(state_dir, name) is None


def test_a_server_that_is_just_coming_back_is_stopped_too(starter: Callable[[Path], Service], state_dir: Path) -> None:
    starting, started = threading.Event(), []

    def start(state_dir: Path, *, same_port: bool) -> Service:
        if same_port:
            starting.set()
        started.append(starter(state_dir))
        return started[-1]

    watch = DeathWatch()
    keeper = Keeper("server", start, state_dir, watch)
    keeper.start(same_port=False).identity.kill()
    assert starting.wait(10)
    keeper.stop()
    watch.close()
    assert len(started) == 2
    assert not any(service.identity.alive() for service in started)


def test_a_hanging_server_is_replaced(starter: Callable[[Path], Service], state_dir: Path) -> None:
    service = starter(state_dir)
    service.identity.signal(signal.SIGSTOP)
    again = starter(state_dir)
    assert not service.identity.alive()
    assert answers(again.url)


def test_it_runs_in_a_session_of_its_own(starter: Callable[[Path], Service], state_dir: Path) -> None:
    service = starter(state_dir)
    assert os.getsid(service.identity.pid) == service.identity.pid


def test_only_the_owner_can_read_records_and_passwords(starter: Callable[[Path], Service], state_dir: Path) -> None:
    service = starter(state_dir)
    assert service.url not in repr(service)
    private = [*(state_dir / "run").iterdir(), *(state_dir / "config").iterdir()]
    assert private
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_it_outlives_the_process_that_started_it(state_dir: Path) -> None:
    program = "import sys, pathlib, lab.services as s; s.start_broker(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", program, str(state_dir)], check=True, timeout=30)
    service = adopt(state_dir, "broker")
    assert service is not None
    stop(service)
    assert not service.identity.alive()


def test_the_password_is_not_in_the_arguments(state_dir: Path) -> None:
    service = start_broker(state_dir)
    arguments = Path(f"/proc/{service.identity.pid}/cmdline").read_text()
    password = urlsplit(service.url).password
    stop(service)
    assert password
    assert password not in arguments


def test_acknowledged_documents_survive_a_crash_of_the_database(state_dir: Path) -> None:
    service = start_database(state_dir)
    with pymongo.MongoClient(service.url) as client:
        for number in range(50):
            client.crash.numbers.insert_one({"_id": number})
        service.identity.kill()
    again = start_database(state_dir)
    with pymongo.MongoClient(again.url) as client:
        found = client.crash.numbers.count_documents({})
    stop(again)
    assert found == 50


def test_acknowledged_elements_survive_a_crash_of_the_broker(state_dir: Path) -> None:
    service = start_broker(state_dir)
    with redis.Redis.from_url(service.url) as client:
        for number in range(50):
            client.rpush("numbers", number)
    service.identity.kill()
    service.identity.wait(5)
    again = start_broker(state_dir)
    with redis.Redis.from_url(again.url) as client:
        found = client.llen("numbers")
    stop(again)
    assert found == 50


def test_a_server_that_ends_at_once_is_reported_with_its_last_words(state_dir: Path) -> None:
    (state_dir / "broker" / "appendonlydir").mkdir(parents=True)
    (state_dir / "broker" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(ServiceError, match=r"The broker ended while starting, saying '.+'; see .+broker\.log"):
        start_broker(state_dir)
    assert not any((state_dir / "run").iterdir())


def test_a_missing_program_is_one_sentence(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module.sys, "executable", str(state_dir / "bin" / "python"))
    with pytest.raises(ServiceError, match=r"run `pip install 'hotswap-lab\[embedded\]'`"):
        start_database(state_dir)


def wait_until(ask: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not ask():
        assert time.monotonic() < deadline


def bind(squatter: socket.socket, port: int) -> None:
    """The kernel closes the sockets of an ended process a moment after its end."""
    deadline = time.monotonic() + 5
    while True:
        try:
            return squatter.bind(("127.0.0.1", port))
        except OSError:
            assert time.monotonic() < deadline
