"""A plain dramatiq project for tests: its code in a folder, a broker, and `hotswap worker` as a program of its own."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dramatiq
import psutil
import redis

from hotswap.routing import VersionedBroker, versioned_broker

PATIENCE_SECONDS = 20

TASKS = """
import os

import dramatiq
import redis

NAME = "VERSION"


def tell(key, word):
    with redis.Redis.from_url(os.environ["TEST_BROKER"]) as server:
        server.rpush(key, f"{word} {NAME}")


@dramatiq.actor(max_retries=3, min_backoff=10, max_backoff=10)
def work(key, gate=None, then=None):
    tell(key, "begins")
    with redis.Redis.from_url(os.environ["TEST_BROKER"], socket_timeout=60) as server:
        if gate is not None and server.blpop(gate, timeout=30) is None:
            raise TimeoutError(gate)
    from .late import NAME
    assert NAME == globals()["NAME"]
    if then is not None:
        finish.send(key, then)
    else:
        tell(key, "ends")


@dramatiq.actor(queue_name="last")
def finish(key, word):
    tell(key, word)


@dramatiq.actor(max_retries=3, min_backoff=10, max_backoff=10)
def fail_once(key):
    with redis.Redis.from_url(os.environ["TEST_BROKER"]) as server:
        if server.incr(f"{key}.tries") == 1:
            tell(key, "fails")
            raise RuntimeError("told to fail")
    tell(key, "succeeds")


@dramatiq.actor(max_retries=0, time_limit=1_000)
def hang(key):
    try:
        while True:
            pass
    finally:
        tell(key, "interrupted")


@dramatiq.actor
def add(one, two):
    return one + two


@dramatiq.actor
def report(key, value):
    tell(key, value)
"""


def message(actor: str, *arguments: Any) -> dramatiq.Message[Any]:
    """A message as somebody builds it who does not have the actor."""
    return dramatiq.Message(queue_name="default", actor_name=actor, args=arguments, kwargs={}, options={})


class Project:
    """A package of actors that tell by which version they ran; ``write`` changes that version."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.package = folder / "bench_app"
        self.store = folder / "store"
        self.url = url
        self.namespace = f"test-{uuid.uuid4().hex[:8]}"
        self.server: redis.Redis = redis.Redis.from_url(url, socket_timeout=2 * PATIENCE_SECONDS)
        self._sender: VersionedBroker | None = None

    def write(self, version: str, tasks: str = TASKS) -> None:
        self.package.mkdir(parents=True, exist_ok=True)
        (self.package / "__init__.py").touch()
        (self.package / "late.py").write_text(f"NAME = {version!r}\n")
        (self.package / "tasks.py").write_text(tasks.replace("VERSION", version))

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@lab.org")
        command = ["git", "-C", str(self.folder), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, version: str) -> str:
        """Write and commit a version; the id of the commit."""
        self.write(version)
        if not (self.folder / ".git").exists():
            self.git("init", "-q")
        self.git("add", "bench_app")
        self.git("commit", "-q", "-m", version)
        return self.git("rev-parse", "HEAD")

    @property
    def sender(self) -> VersionedBroker:
        """A broker as the programs that send have one."""
        if self._sender is None:
            self._sender = self.new_sender()
        return self._sender

    def new_sender(self) -> VersionedBroker:
        return versioned_broker(self.url, "bench_app", store=self.store, namespace=self.namespace)

    def send(self, actor: str, *arguments: Any, delay: int | None = None) -> str:
        """Send a message whose first argument is a new key; returns the key, to be asked with ``heard``."""
        key = f"{self.namespace}.{uuid.uuid4().hex[:8]}"
        self.sender.enqueue(message(actor, key, *arguments), delay=delay)
        return key

    def heard(self, key: str) -> str:
        """The next word that an actor told under the key."""
        found: Any = self.server.blpop([key], timeout=PATIENCE_SECONDS)
        assert found is not None, f"nobody told anything under {key}"
        return str(found[1].decode())

    def lasting_keys(self) -> set[str]:
        """The keys of the project's broker, but for those that end by themselves."""
        found: Any = self.server.keys(f"{self.namespace}:*")
        lasting = [key.decode() for key in found if self.server.ttl(key) == -1]
        return {key.removeprefix(f"{self.namespace}:") for key in lasting}

    def forget_messages(self) -> None:
        """Have the broker lose all it knows of the project."""
        found: Any = self.server.keys(f"{self.namespace}:*")
        self.server.delete(*found)

    def consumers(self) -> set[str]:
        """The names of those that take messages."""
        found: Any = self.server.zrange(f"{self.namespace}:__heartbeats__", 0, -1)
        return {name.decode() for name in found}

    def gate(self) -> str:
        return f"{self.namespace}.gate.{uuid.uuid4().hex[:8]}"

    def open_gate(self, gate: str) -> None:
        self.server.rpush(gate, "open")

    def close(self) -> None:
        if self._sender is not None:
            self._sender.close()
        self.server.close()

    def processes(self) -> list[psutil.Process]:
        """The version processes of the project that are alive, and what they were forked from."""
        return [psutil.Process(pid) for pid in self._pids() if psutil.pid_exists(pid)]

    def _pids(self) -> Iterator[int]:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                log = Path(f"/proc/{process.pid}/fd/2").readlink()
                if log.is_relative_to(self.store) and process.status() != psutil.STATUS_ZOMBIE:
                    yield process.pid


class Worker:
    """`hotswap worker`, and what it told so far."""

    def __init__(self, project: Project, *options: str) -> None:
        command = [sys.executable, "-m", "hotswap.cli", "worker", str(project.package), "--broker", project.url]
        command += ["--store", str(project.store), "--namespace", project.namespace, "--json", *options]
        environment = {**os.environ, "TEST_BROKER": project.url}
        self.project = project
        self.program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, event: str, **facts: Any) -> dict[str, Any]:
        """The next event of this name with these facts; those before are passed over."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        passed = []
        while (told := self._events.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            if told["event"] == event and facts.items() <= told.items():
                return told
            passed.append(told)
        raise AssertionError(f"the worker ended without telling {event} {facts}; it told {passed}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and wait for the end; the exit code."""
        self.program.send_signal(number)
        code = self.program.wait(PATIENCE_SECONDS)
        self._reader.join()
        return code

    def _read(self) -> None:
        assert self.program.stdout is not None
        with self.program.stdout as lines:
            for line in lines:
                self._events.put(json.loads(line))
        self._events.put(None)


@contextlib.contextmanager
def running(project: Project, *options: str) -> Iterator[Worker]:
    """A worker that has promoted what there is; stopped at the end, with nothing left behind."""
    worker = Worker(project, *options)
    try:
        yield worker
        if worker.program.poll() is None:
            assert worker.stop() == 0
        _, left = psutil.wait_procs(project.processes(), timeout=10)
        assert left == []
    finally:
        for process in [*project.processes(), worker.program]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        worker.program.wait()
