"""A real laboratory for tests: the starter lab in a folder of its own, launched, worked with, and ended for certain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
from pymongo import MongoClient

from hotswap.process import Identity
from lab.catalog import Catalog, Definitions
from lab.client import LabClient
from lab.records import ENDED, Device, DeviceState, Document, Records, Task
from lab.settings.config import load

_Answer = TypeVar("_Answer")

PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.03

HOLDING = '''\
"""A task for tests: it holds one furnace until it is let go, and tells by which code it ran."""

from pathlib import Path
from typing import Any

from lab import BaseTask

CODE = "{code}"


class Holding(BaseTask):
    """Hold a furnace until the file ``gate`` exists."""

    def __init__(self, furnace: str, gate: str) -> None:
        self.furnace = furnace
        self.gate = gate

    def run(self) -> dict[str, Any]:
        """Return the code and the reading at the beginning, and both again after the wait."""
        with self.lab_view.request_resources({{self.furnace: {{}}}}) as (devices, _):
            self.lab_view.update_result("early", [CODE, devices[self.furnace].temperature()])
            while not Path(self.gate).exists():
                self.lab_view.sleep(0.02)
            from ..late import LATE

            return {{"late": [LATE, devices[self.furnace].temperature()]}}
'''


class Laboratory:
    """One lab: its repository in ``folder``, and what it keeps while it runs in ``state``.

    ``code`` is a text that the task Holding, and a module it imports only at its end, carry: "code 1" at first.
    """

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder = folder
        self.state = state
        self.code = ""
        self._environment = {**os.environ, "LAB_STATE_DIR": str(state), "LAB_PORT": "0"}
        self._client: MongoClient[Document] | None = None
        self._database = ""
        self._codes = 0

    # -- making, launching, ending ---------------------------------------------------------------------------------

    def create(self, settings: str = "") -> None:
        """Write the starter lab, with the task Holding added to it, and ``settings`` to its lab.toml."""
        self._lab("init", str(self.folder), "--auto-refresh", cwd=self.folder.parent)
        self.write("lab.toml", (self.folder / "lab.toml").read_text() + settings)
        self.edit("my_lab/__init__.py", "add_task(Ending)", "add_task(Ending)\nadd_task(Holding)")
        self.edit("my_lab/__init__.py", "from .tasks import", "from .tasks.holding import Holding\nfrom .tasks import")
        self.write_code()
        self.commit()

    def launch(self) -> None:
        """Start it in the background, and wait until every device is connected."""
        self.cli("launch", "--detach")
        self.settle()

    def end(self) -> None:
        """Stop everything, by force if need be. Raises AssertionError if anything had to be killed."""
        self.forget_database()
        try:
            self.cli("stop", "--force")
        finally:
            left = self.left_running()
            told = [(process, process.cmdline(), process.ppid()) for process in left]
            for process in left:
                process.kill()
        assert not left, f"left running: {told}"

    def forget_database(self) -> None:
        """Connect to it anew when it is asked next; before it stops, as a client says goodbye to it."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def processes(self) -> list[psutil.Process]:
        """Every process of this lab: what was started with its state directory in the environment, or works in it."""
        return [each for each in psutil.process_iter() if self._is_ours(each)]

    def left_running(self) -> list[psutil.Process]:
        """The processes that are still there after five seconds."""
        _, alive = psutil.wait_procs(self.processes(), timeout=5.0)
        return [each for each in alive if self._is_ours(each)]

    # -- asking ----------------------------------------------------------------------------------------------------

    def cli(self, *arguments: str, stdin: str | None = None) -> str:
        """What ``lab ...`` prints; it has to exit with 0."""
        return self._lab(*arguments, stdin=stdin).stdout

    def refused(self, *arguments: str, stdin: str | None = None) -> str:
        """What ``lab ...`` says on the error stream; it has to exit with 2 and print nothing else."""
        run = self._lab(*arguments, stdin=stdin, check=False)
        assert (run.returncode, run.stdout) == (2, ""), run
        return run.stderr

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What ``lab ...`` prints, and how it exits."""
        return self._lab(*arguments, check=False)

    @property
    def url(self) -> str:
        return str(self._facts("managers")["url"])

    @property
    def token(self) -> str:
        return (self.state / "token").read_text().strip()

    @property
    def client(self) -> LabClient:
        return LabClient(self.url, self.token, actor="test")

    @property
    def records(self) -> Records:
        """The lab's own database."""
        if self._client is None:
            self._client = MongoClient(self._facts("database")["url"], tz_aware=True)
            self._database = load(self.folder, self._environment).database
        return Records(self._client[self._database])

    def identity(self, name: str) -> Identity:
        """The ``supervisor``, ``managers``, ``database`` or ``broker`` process."""
        return Identity.from_dict(self._facts(name)["identity"])

    def version_processes(self) -> dict[str, int]:
        """Name -> pid of the workers and driver processes."""
        told = self.client.get("processes")
        return {each["name"]: each["pid"] for each in told if each["kind"] == "process" and each["alive"]}

    def devices(self) -> dict[str, Device]:
        return {device["_id"]: device for device in self.records.devices.find()}

    def connects(self) -> dict[str, int]:
        """How often each device was connected so far."""
        return {name: device["connects"] for name, device in self.devices().items()}

    def generation(self) -> int:
        """The number of the current generation."""
        return int(self.client.status()["generation"])

    def definitions(self) -> Definitions:
        """What the current code defines."""
        return Catalog(self.records).get(self.client.status()["snapshot"])

    def until(self, ask: Callable[[], _Answer], seconds: float = PATIENCE_SECONDS) -> _Answer:
        """Wait for an answer that is true, and return it."""
        deadline = time.monotonic() + seconds
        while not (answer := ask()):
            assert time.monotonic() < deadline, f"it did not become true within {seconds:g} s"
            time.sleep(_POLL_SECONDS)
        return answer

    def settle(self) -> None:
        """Wait until every device that nobody holds has its driver of the current code."""
        self.until(lambda: self.client.status()["generation"])
        wanted = self.definitions().drivers
        self.until(lambda: all(_settled(device, wanted) for device in self.devices().values()))
        assert set(wanted) <= set(self.devices())

    # -- changing the code -----------------------------------------------------------------------------------------

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text that occurs once in a file of the lab."""
        file = self.folder / path
        text = file.read_text()
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in {path}"
        file.write_text(text.replace(old, new))

    def write(self, path: str, text: str) -> None:
        (self.folder / path).write_text(text)

    def write_code(self) -> str:
        """Give the task Holding, and the module it imports at its end, a new text to return."""
        self._codes += 1
        self.code = f"code {self._codes}"
        self.write("my_lab/tasks/holding.py", HOLDING.format(code=self.code))
        self.write("my_lab/late.py", f'"""Imported when a Holding ends."""\n\nLATE = "{self.code}"\n')
        return self.code

    def commit(self) -> str:
        """Commit what was changed; returns the commit."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message=Change the lab")
        return self._git("rev-parse", "HEAD").strip()

    def restore(self, commit: str) -> None:
        """Have the files as a commit has them, to be committed anew."""
        self._git("read-tree", "--reset", "-u", commit)

    def content(self, commit: str, path: str) -> str:
        """A file as a commit has it."""
        return self._git("show", f"{commit}:{path}")

    def propose(self, change: Callable[[], None]) -> str:
        """A commit of a change that no branch has; the lab's folder is as before."""
        change()
        self._git("add", "--all")
        commit = self._git("commit-tree", "-p", "HEAD", "-m", "Propose", self._git("write-tree").strip()).strip()
        self._git("reset", "--quiet", "--hard")
        return commit

    def refresh(self) -> Document:
        """Commit what was changed and wait for the end of the refresh that follows; returns its document."""
        return self.refresh_of(self.commit())

    def refresh_of(self, commit: str) -> Document:
        ended = {"rev": commit, "outcome": {"$ne": None}}
        found: Document | None = self.until(lambda: self.records.refreshes.find_one(ended))
        assert found is not None
        return found

    def go_live(self) -> int:
        """Commit what was changed, which has to become current; returns its generation."""
        refresh = self.refresh()
        assert refresh["outcome"] == "live", refresh
        return int(refresh["generation"])

    # -- work ------------------------------------------------------------------------------------------------------

    def hold(self, furnace: str, gate: Path) -> str:
        """Start a task that holds a furnace until ``gate`` exists; returns its id once it has the furnace."""
        task = self.submit_one("Holding", {"furnace": furnace, "gate": str(gate)})
        self.until(lambda: self.task(task)["result"])
        return task

    def submit_one(self, kind: str, parameters: Document) -> str:
        """Submit an experiment of one task; returns the task's id."""
        submitted = self.client.submit({"name": "test", "tasks": [{"type": kind, "parameters": parameters}]})
        return str(self.client.experiment(submitted)["tasks"][0]["id"])

    def task(self, task_id: str) -> Task:
        task = self.records.tasks.find_one({"_id": task_id})
        assert task is not None
        return task

    def reached(self, task_id: str, status: str) -> Task:
        """Wait until a task is in a status."""

        def ask() -> Task | None:
            task = self.task(task_id)
            assert task["status"] == status or task["status"] not in ENDED, (
                task["status"],
                task["error"],
                task["reason"],
            )
            return task if task["status"] == status else None

        found = self.until(ask)
        assert found is not None
        return found

    def result(self, task_id: str) -> Any:
        """The result of a task, which has to be completed soon."""
        return self.reached(task_id, "COMPLETED")["result"]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            # The broker writes its title over its environment.
            ours = process.environ().get("LAB_STATE_DIR") == str(self.state)
            return ours or Path(process.cwd()).is_relative_to(self.state)
        except psutil.Error:
            return False  # it has ended, or is none of ours

    def _facts(self, name: str) -> Document:
        facts: Document = json.loads((self.state / "run" / f"{name}.json").read_text())
        return facts

    def _lab(
        self, *arguments: str, stdin: str | None = None, check: bool = True, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).parent / "lab"
        return _run([str(program), *arguments], cwd or self.folder, self._environment, stdin, check)

    def _git(self, *arguments: str) -> str:
        author = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        return _run(["git", *author, *arguments], self.folder, self._environment, None, True).stdout


@contextmanager
def laboratory(
    folder: Path, settings: str = "", change: Callable[[Laboratory], None] | None = None
) -> Iterator[Laboratory]:
    """A laboratory launched below an empty folder, with ``settings`` at the end of its lab.toml, and its code changed.

    Whatever happens, none of its processes outlives the block.
    """
    made = Laboratory(folder / "my_lab", folder / "state")
    made.create(settings)
    if change is not None:
        change(made)
        made.commit()
    try:
        made.launch()
        yield made
    finally:
        made.end()


def _settled(device: Device, wanted: dict[str, str]) -> bool:
    if device["state"] in (DeviceState.GRANTED, DeviceState.RETIRED):
        return True
    binding = device["binding"]
    return device["state"] == DeviceState.FREE and binding is not None and binding["digest"] == wanted[device["_id"]]


def _run(
    command: list[str], cwd: Path, environment: dict[str, str], stdin: str | None, check: bool
) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(
        command, cwd=cwd, env=environment, input=stdin or "", capture_output=True, text=True, timeout=90, check=False
    )
    assert not check or run.returncode == 0, f"{command} exited with {run.returncode}: {run.stdout}{run.stderr}"
    return run
