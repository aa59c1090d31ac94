"""A tiny laboratory whose processes are plain child processes, so that they can be killed and replaced at will."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymongo
import pytest
from managed_devices import Managed
from pymongo.database import Database

from hotswap.process import Identity
from hotswap.wire import Client
from lab.records import Records

SECRET = "correct horse"
OLD, NEW = "a" * 64, "b" * 64

BOOT = """
import json, pkgutil, sys
from pathlib import Path
birth = json.loads(sys.stdin.readline())
sys.path.insert(0, birth["tree"])
from hotswap import wire
from hotswap.process import Context
from lab.definitions import load
load(birth["package"])
listener = wire.listen()
context = Context(
    name=birth["name"], snapshot=birth["snapshot"], package=birth["package"], tree=Path(birth["tree"]),
    listener=listener, secret=birth["secret"], instance=birth["instance"], arguments=birth["arguments"],
)
print(json.dumps(wire.address_of(listener)), flush=True)
pkgutil.resolve_name(birth["entry"])(context)
"""

PACKAGE = """
import os, time
from lab import BaseDevice, BaseTask, SamplePosition, add_device, add_standalone_sample_position, add_task


class TooHotError(Exception):
    def __init__(self, limit, *, unit):
        super().__init__(f"hotter than {limit} {unit}")
        self.limit = limit


class Furnace(BaseDevice):
    version = "VERSION"

    def __init__(self, name, trace):
        super().__init__(name, "a box")
        self.trace = trace
        self.stopped = False
        self.setpoint = None

    sample_positions = [SamplePosition("slot", number=2)]

    def note(self, text):
        with open(self.trace, "a") as file:
            file.write(f"{self.name} {self.version} {text}\\n")

    def connect(self):
        if os.path.exists(self.trace + ".broken-" + self.version):
            raise OSError("no such port")
        self.note("connect")
        while os.path.exists(self.trace + ".homing") and not self.stopped:
            time.sleep(0.01)

    def disconnect(self):
        self.note("disconnect")

    def is_running(self):
        return os.path.exists(self.trace + ".running")

    def heat(self, setpoint):
        self.setpoint = setpoint

    def told(self):
        return self.setpoint

    def meets(self, what):
        return os.path.exists(f"{self.trace}.{what}-{self.version}")

    def export_state(self):
        if self.meets("secretive"):
            return object()
        return None if self.setpoint is None else {"setpoint": self.setpoint}

    def import_state(self, state):
        if self.meets("mortal"):
            os.remove(f"{self.trace}.mortal-{self.version}")
            os.kill(os.getpid(), 9)
        self.note(f"import {state['setpoint']}")
        if self.meets("choosy"):
            raise ValueError("no such setpoint")
        self.setpoint = state["setpoint"]

    def verify_state(self, state):
        self.note(f"verify {state['setpoint']}")
        return not self.meets("drifting") and self.setpoint == state["setpoint"]

    def emergency_stop(self):
        if os.path.exists(self.trace + ".jammed"):
            raise OSError("no answer")
        self.stopped = True
        self.note("emergency_stop")

    def which(self):
        return self.version

    def pid(self):
        return os.getpid()

    def echo(self, *args, **kwargs):
        self.set_message("echo")
        return [args, kwargs]

    def hang(self):
        self.note("hang")
        while not self.stopped:
            time.sleep(0.01)
        return "stopped"

    def overheat(self):
        raise TooHotError(900, unit="C")

    def refuse(self):
        raise KeyError("slot")

    def die(self):
        os.kill(os.getpid(), 9)


TRACE = os.path.join(os.path.dirname(__file__), "trace")
add_device(Furnace, name="furnace", trace=TRACE)
add_device(Furnace, name="other", trace=TRACE)
add_standalone_sample_position(SamplePosition("table", number=2))
"""


@dataclass
class Child:
    """A version process that is a child of the test."""

    name: str
    snapshot: str
    address: tuple[str, int]
    process: subprocess.Popen[str]
    identity: Identity
    instance: str

    def call(self, op: str, timeout: float | None = 10.0, **arguments: Any) -> Any:
        with Client(self.address, SECRET, timeout=timeout) as client:
            return client.call(op, **arguments)

    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Children:
    """Starts child processes by name, like a fleet; ``trees`` are the folders of the code versions."""

    trees: dict[str, Path]
    running: dict[str, Child] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ensure(self, name: str, snapshot: str, entry: str, arguments: dict[str, Any]) -> Child:
        with self._lock:
            if name not in self.running or not self.running[name].alive():
                self.running[name] = self._start(name, snapshot, entry, arguments)
            return self.running[name]

    def stop(self, name: str, grace: float, instance: str | None = None) -> None:
        assert instance in (None, self.running[name].instance)
        child = self.running.pop(name)
        with contextlib.suppress(OSError):
            child.call("stop")
        child.process.wait(grace)

    def kill(self, name: str) -> None:
        self.running.pop(name).kill()

    def processes(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "instance": child.instance, "address": list(child.address)}
            for name, child in self.running.items()
        ]

    def close(self) -> None:
        for child in self.running.values():
            child.kill()

    def _start(self, name: str, snapshot: str, entry: str, arguments: dict[str, Any]) -> Child:
        process = subprocess.Popen(
            [sys.executable, "-c", BOOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        instance = os.urandom(8).hex()
        birth = {
            "name": name,
            "snapshot": snapshot,
            "package": "tiny_lab",
            "tree": str(self.trees[snapshot]),
            "secret": SECRET,
            "instance": instance,
            "entry": entry,
            "arguments": arguments,
        }
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(birth) + "\n")
        process.stdin.close()
        host, port = json.loads(process.stdout.readline())
        process.stdout.close()
        child = Child(name, snapshot, (host, port), process, Identity.of(process.pid), instance)
        child.call("identify")
        return child


def write_version(folder: Path, version: str, more: str = "") -> Path:
    package = folder / "tiny_lab"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PACKAGE.replace("VERSION", version) + more)
    return folder


@pytest.fixture(scope="session")
def make_children(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Children]:
    """Two code versions of the tiny laboratory, with ``more`` code in both; the caller closes the result."""

    def make(more: str) -> Children:
        folder = tmp_path_factory.mktemp("lab")
        trees = {OLD: write_version(folder / "old", "old", more), NEW: write_version(folder / "new", "new", more)}
        return Children(trees)

    return make


@pytest.fixture
def children(make_children: Callable[[str], Children]) -> Iterator[Children]:
    made = make_children("")
    yield made
    made.close()


@pytest.fixture
def records(mongo_uri: str, database: Database[dict[str, Any]]) -> Iterator[Records]:
    with pymongo.MongoClient[dict[str, Any]](mongo_uri, tz_aware=True) as client:
        records = Records(client[database.name])
        records.create_indexes()
        yield records


@pytest.fixture
def arguments(mongo_uri: str, broker_url: str, records: Records) -> dict[str, Any]:
    """What the managers give to every worker and driver process."""
    return {
        "mongo_uri": mongo_uri,
        "database": records.database.name,
        "broker_url": broker_url,
        "lab": records.database.name,
        "simulation": True,
    }


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """Wait until something is true, asking the system itself; fails after ten seconds."""

    def wait(ask: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 10.0
        while not (answer := ask()):
            assert time.monotonic() < deadline, "it did not become true"
            time.sleep(0.01)
        return answer

    return wait


@pytest.fixture
def trace(children: Children) -> Callable[[str], list[str]]:
    """What the devices of a code version were told to do, in order."""

    def read(snapshot: str) -> list[str]:
        path = children.trees[snapshot] / "tiny_lab" / "trace"
        return path.read_text().splitlines() if path.exists() else []

    return read


@pytest.fixture
def managed(records: Records, children: Any, arguments: dict[str, Any], eventually: Any) -> Iterator[Managed]:
    made = Managed(records, children, arguments, eventually)
    made.start()
    try:
        made.bound("furnace", OLD)
        made.bound("other", OLD)
        yield made
    finally:
        made.close()
