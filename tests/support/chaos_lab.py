"""The laboratory that the chaos tests attack: its devices and tasks write down whatever they do, each in a file."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from laboratory import Laboratory

DEVICES = ("pair_left", "pair_right", "station_1", "station_2", "steady")
"""In the order in which tasks ask for them, so that no two tasks ever wait for each other."""

SEED_FILES = Path(__file__).parent / "chaos_trap"


@dataclass(frozen=True)
class Version:
    """What a commit holds: the number of its task code, and of each driver."""

    code: int = 0
    station: int = 0
    pair: int = 0
    steady: int = 0

    def driver(self, device: str) -> int:
        """The number of the driver that this version has for a device."""
        return int(getattr(self, device.partition("_")[0]))


INIT = '''\
"""A laboratory whose devices write down what they do."""

from lab import SamplePosition, add_device, add_standalone_sample_position, add_task

from .pair import Pair
from .station import Station
from .steady import Steady
from .tasks import Blink, Work

FOLDER = {folder!r}

add_device(Pair, name="pair_left", folder=FOLDER, shares="pair")
add_device(Pair, name="pair_right", folder=FOLDER, shares="pair")
add_device(Station, name="station_1", folder=FOLDER)
add_device(Station, name="station_2", folder=FOLDER)
add_device(Steady, name="steady", folder=FOLDER)
add_standalone_sample_position(SamplePosition("bench", number=400))
add_task(Blink)
add_task(Work)
'''

LOGGED = '''\
"""What all devices of this laboratory have in common."""

import json
import os
import time
from pathlib import Path
from typing import Any

from lab import BaseDevice, SamplePosition


class Logged(BaseDevice):
    """Writes down each call before and after it is carried out, with the number of the driver."""

    NUMBER = 0

    def __init__(self, name: str, folder: str) -> None:
        super().__init__(name, "writes down what it does")
        self._log = Path(folder) / f"{name}.log"
        self._acts = 0

    @property
    def sample_positions(self) -> list[SamplePosition]:
        return []

    def connect(self) -> None:
        self._write("connect")

    def disconnect(self) -> None:
        self._write("disconnect")

    def is_running(self) -> bool:
        return False

    def export_state(self) -> dict[str, int]:
        return {"acts": self._acts}

    def import_state(self, state: dict[str, int]) -> None:
        self._acts = state["acts"]

    def verify_state(self, state: dict[str, int]) -> bool:
        return self._acts == state["acts"]

    def act(self, task: str, run: str, block: str, step: str) -> int:
        self._write("begin", task=task, run=run, block=block, step=step)
        time.sleep(0.003)
        self._acts += 1
        self._write("end", task=task, run=run, block=block, step=step)
        return self.NUMBER

    def _write(self, event: str, **facts: Any) -> None:
        told = {"event": event, "number": self.NUMBER, "pid": os.getpid(), "at": time.time(), **facts}
        descriptor = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, json.dumps(told).encode() + b"\\n")
        finally:
            os.close(descriptor)
'''

DRIVER = '''\
"""A driver that differs from commit to commit in its number."""

from .logged import Logged


class {name}(Logged):
    """Number {number}."""

    NUMBER = {number}
'''

TASKS = '''\
"""Tasks that write down by which code they run."""

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

from lab import BaseTask

CODE = {code}


class Blink(BaseTask):
    """Does nothing but tell."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def run(self) -> dict[str, Any]:
        write(self.folder, self.lab_view.task_id, uuid.uuid4().hex, "end", CODE)
        return {{"code": CODE}}


class Work(BaseTask):
    """Asks for a place and the devices, one inside the other, ``times`` over; inside it rests for ``pace`` seconds."""

    def __init__(self, folder: str, devices: list[str], times: int, pace: float) -> None:
        self.folder = folder
        self.devices = devices
        self.times = times
        self.pace = pace

    def run(self) -> dict[str, Any]:
        task, run = self.lab_view.task_id, uuid.uuid4().hex
        write(self.folder, task, run, "start", CODE)
        with self.lab_view.request_resources({{None: {{"bench": 1}}}}) as (_, places):
            self.lab_view.move_sample(self.samples[0], places[None]["bench"][0])
            for time_over in range(self.times):
                self._use(task, run, str(time_over), self.devices)
            self.lab_view.move_sample(self.samples[0], None)
        from .late import LATE

        write(self.folder, task, run, "late", LATE)
        write(self.folder, task, run, "end", CODE)
        return {{"run": run, "code": CODE}}

    def _use(self, task: str, run: str, step: str, devices: list[str]) -> None:
        if not devices:
            return
        first, *rest = devices
        block = uuid.uuid4().hex
        with self.lab_view.request_resources({{first: {{}}}}) as (granted, _):
            granted[first].act(task=task, run=run, block=block, step=f"{{step}}.{{first}}.in")
            self._use(task, run, step, rest)
            self.lab_view.sleep(self.pace)
            granted[first].act(task=task, run=run, block=block, step=f"{{step}}.{{first}}.out")


def write(folder: str, task: str, run: str, event: str, code: int) -> None:
    told = {{"task": task, "run": run, "event": event, "code": code, "pid": os.getpid(), "at": time.time()}}
    descriptor = os.open(Path(folder) / "tasks.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, json.dumps(told).encode() + b"\\n")
    finally:
        os.close(descriptor)
'''


class ChaosLaboratory(Laboratory):
    """Knows what each of its commits holds, and what its devices and tasks wrote down."""

    def __init__(self, folder: Path, state: Path) -> None:
        super().__init__(folder, state)
        self.logs = folder.parent / "told"
        self.trap = folder.parent / "trap"
        self.versions: dict[str, Version] = {}
        self.version = Version()
        path = os.pathsep.join(filter(None, [str(SEED_FILES), os.environ.get("PYTHONPATH")]))
        self._environment |= {"PYTHONPATH": path, "CHAOS_TRAP": str(self.trap)}

    def create(self, settings: str = "") -> None:
        self.logs.mkdir()
        self.trap.mkdir()
        self._lab("init", str(self.folder), "--auto-refresh", cwd=self.folder.parent)
        shutil.rmtree(self.folder / "my_lab")
        (self.folder / "my_lab").mkdir()
        self.write("my_lab/__init__.py", INIT.format(folder=str(self.logs)))
        self.write("my_lab/logged.py", LOGGED)
        self.write("lab.toml", (self.folder / "lab.toml").read_text() + settings)
        self.write_version(Version(1, 1, 1, 1))
        self.versions[self.commit()] = self.version

    def write_version(self, version: Version) -> None:
        """Have the files say what a version says."""
        self.version = version
        self.write("my_lab/tasks.py", TASKS.format(code=version.code))
        self.write("my_lab/late.py", f'"""Imported late."""\n\nLATE = {version.code}\n')
        for name in ("station", "pair", "steady"):
            text = DRIVER.format(name=name.capitalize(), number=getattr(version, name))
            self.write(f"my_lab/{name}.py", text)

    def next_version(self, *drivers: str) -> Version:
        """What the next commit is to hold: other task code, and other drivers of these names."""
        code = max(version.code for version in self.versions.values()) + 1
        return replace(self.version, code=code, **dict.fromkeys(drivers, code))

    def commit_version(self, version: Version) -> str:
        """Commit it on the watched branch; returns the commit."""
        self.write_version(version)
        commit = self.commit()
        self.versions[commit] = version
        return commit

    def propose_version(self, version: Version) -> str:
        """Commit it where nobody watches; returns the commit."""
        commit = self.propose(lambda: self.write_version(version))
        self.versions[commit] = version
        return commit

    def adopt(self, commit: str) -> None:
        """Have the watched branch take a proposed commit."""
        self._git("merge", "--quiet", "--ff-only", commit)

    def told(self, name: str) -> list[dict[str, Any]]:
        """What a device, or all ``tasks``, wrote down, in order."""
        path = self.logs / f"{name}.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def runs(self) -> list[dict[str, Any]]:
        """The records of the version processes, the zygote and the templates."""
        found = []
        for path in (self.state / "run" / "processes").glob("*.run.json"):
            try:
                found.append(json.loads(path.read_text()))
            except (FileNotFoundError, ValueError):
                continue  # it has just ended
        return found

    def describe(self) -> dict[str, Any]:
        return {commit[:8]: asdict(version) for commit, version in self.versions.items()}
