"""A starter laboratory to measure: made in a temporary folder, launched as its users do, and gone afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import psutil
from pymongo import MongoClient
from pymongo.database import Database

from lab.client import LabClient
from lab.init import create_lab
from lab.records import ENDED, Document
from lab.server.settings import Settings
from lab.settings.config import LabConfig, load

PROBE: Final = "tasks/probe.py"
_REGISTRATION: Final = """
from .tasks.probe import Calling, Probe, Using, Waiting

add_task(Probe)
add_task(Waiting)
add_task(Calling)
add_task(Using)
"""
_PATIENCE_SECONDS: Final = 60.0
_AUTHOR: Final = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost")


class LaboratoryError(Exception):
    """The laboratory did not do what a benchmark waits for."""


@dataclass(frozen=True)
class Commit:
    """``moved`` is when the branch named it, in seconds since the epoch; ``invoked`` when git was started."""

    id: str
    invoked: float
    moved: float


@contextmanager
def laboratory(furnish: Callable[[Laboratory], None] = lambda _: None) -> Iterator[Laboratory]:
    """A running laboratory with the starter's devices, ``auto_refresh`` and the tasks of `benchmarks.probe`.

    ``furnish`` may change its code before it is launched.
    """
    with ExitStack() as undo:
        folder = Path(tempfile.mkdtemp(prefix="hotswap-benchmark-"))
        undo.callback(shutil.rmtree, folder)
        found = Laboratory(folder)
        undo.callback(found.close)
        furnish(found)
        found.launch()
        yield found


class Laboratory:
    """One laboratory below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.root = create_lab(folder / "bench", auto_refresh=True)
        self.package = self.root / "my_lab"
        self.state = folder / "state"
        self._environment = {**os.environ, "LAB_STATE_DIR": str(self.state), "LAB_PORT": "0"}
        self._client: MongoClient[Document] | None = None
        self._add_probes()

    def launch(self) -> None:
        """Start it, and wait until its code is live and its devices are connected."""
        self._lab("launch", "--detach")
        self.wait_for("current_generation", {})
        for name in self._devices():
            self.wait_for("devices", {"_id": name, "state": "free"})

    def close(self) -> None:
        """End it with all its processes."""
        if self._client is not None:
            self._client.close()
        processes = self.processes() if self._record("supervisor").exists() else []
        with contextlib.suppress(LaboratoryError):
            self._lab("stop", "--force")
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def change(self, path: str, pattern: str, replacement: str) -> None:
        """Edit one file of the package."""
        file = self.package / path
        text, count = re.subn(pattern, replacement, file.read_text(), flags=re.MULTILINE)
        if not count:
            raise LaboratoryError(f"{file} holds nothing like {pattern!r}.")
        file.write_text(text)

    def commit(self, message: str) -> Commit:
        """Commit what was edited, with git itself and the hook that ``lab init`` installed."""
        invoked = time.time()
        self._git("commit", "--quiet", "--all", f"--message={message}")
        branch = self.root / ".git" / "refs" / "heads" / "main"
        return Commit(branch.read_text().strip(), invoked, branch.stat().st_mtime)

    def add_all(self, message: str) -> None:
        """Commit what was edited and what is new."""
        self._git("add", "--all")
        self._git("commit", "--quiet", f"--message={message}")

    def commit_version(self, version: int) -> Commit:
        """Commit new code of the tasks of `benchmarks.probe`; no driver changes."""
        self.change(PROBE, r"^VERSION = \d+", f"VERSION = {version}")
        return self.commit(f"Version {version}")

    def submit(self, kind: str, parameters: Document | None = None, *, count: int = 1) -> list[str]:
        """Submit one experiment with ``count`` equal tasks; returns their ids."""
        task = {"type": kind, "parameters": parameters or {}}
        experiment = self.client.submit({"name": kind, "tasks": [task] * count})
        return [str(each["id"]) for each in self.client.experiment(experiment)["tasks"]]

    def result(self, task: str) -> Any:
        """What a task returned, once it has ended. Raises LaboratoryError when it failed."""
        found = self.wait_for("tasks", {"_id": task, "status": {"$in": list(ENDED)}})
        if found["status"] != "COMPLETED":
            raise LaboratoryError(f"Task {task} ended as {found['status']}: {found['error']}")
        return found["result"]

    def wait_until_running(self, tasks: Sequence[str]) -> None:
        for task in tasks:
            self.wait_for("tasks", {"_id": task, "status": "RUNNING"})

    def wait_until_live(self, commit: Commit) -> Document:
        """The persisted refresh that made a commit live."""
        self.wait_for("current_generation", {"commit": commit.id})
        return self.wait_for("refreshes", {"rev": commit.id, "outcome": "live"})

    def wait_for(self, collection: str, query: Document) -> Document:
        """The first document that fits; wakes by the database's change stream."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with self.database[collection].watch(max_await_time_ms=1000) as changes:
            while (found := self.database[collection].find_one(query)) is None:
                if time.monotonic() > deadline:
                    raise LaboratoryError(f"Nothing in {collection} is {query} after {_PATIENCE_SECONDS:g} s.")
                changes.try_next()
        return dict(found)

    def processes(self) -> list[psutil.Process]:
        """The supervisor and every process below it."""
        supervisor = psutil.Process(self._recorded("supervisor")["identity"]["pid"])
        return [supervisor, *supervisor.children(recursive=True)]

    def names(self) -> dict[int, str]:
        """What each process is: supervisor, managers, database, broker, zygote, template-…, worker-…, driver-…"""
        fixed = ("supervisor", "managers", "database", "broker")
        names = {self._recorded(name)["identity"]["pid"]: name for name in fixed}
        return names | {each["pid"]: str(each["name"]) for each in self.client.get("processes")}

    @cached_property
    def client(self) -> LabClient:
        """The HTTP API."""
        return LabClient(self._recorded("managers")["url"], self.settings.token, actor="benchmark")

    @cached_property
    def settings(self) -> Settings:
        """What the managers were started with."""
        host, port = self._recorded("supervisor")["fleet_address"]
        return Settings(
            config=self.config,
            mongo_uri=self._recorded("database")["url"],
            database=self.config.database,
            broker_url=self._recorded("broker")["url"],
            fleet_address=(host, port),
        )

    @cached_property
    def config(self) -> LabConfig:
        return load(self.root, self._environment)

    @property
    def database(self) -> Database[Document]:
        if self._client is None:
            self._client = MongoClient(
                self.settings.mongo_uri, tz_aware=True, heartbeatFrequencyMS=60_000, serverMonitoringMode="poll"
            )
        return self._client[self.settings.database]

    def _add_probes(self) -> None:
        (self.package / PROBE).write_text(Path(__file__).with_name("probe.py").read_text())
        with (self.package / "__init__.py").open("a") as registry:
            registry.write(_REGISTRATION)
        self.add_all("Add the tasks to measure with")

    def _devices(self) -> list[str]:
        return [str(device["id"]) for device in self.client.get("devices")]

    def _recorded(self, name: str) -> Document:
        return dict(json.loads(self._record(name).read_text()))

    def _record(self, name: str) -> Path:
        return self.state / "run" / f"{name}.json"

    def _lab(self, *arguments: str) -> str:
        return self._run(sys.executable, "-m", "lab.cli", *arguments)

    def _git(self, *arguments: str) -> str:
        return self._run("git", *_AUTHOR, *arguments)

    def _run(self, *command: str) -> str:
        ran = subprocess.run(command, cwd=self.root, env=self._environment, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise LaboratoryError(f"{' '.join(command)} failed: {ran.stderr.strip()}")
        return ran.stdout.strip()
