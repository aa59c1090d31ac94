"""Commits that cannot go live, one after the other, while a task runs: each is refused, and nothing else happens."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from laboratory import Laboratory, laboratory

from hotswap.generations import Generations

pytestmark = pytest.mark.system

SETTINGS = """
[refresh]
template_timeout = 4.0

[policy]
removals = "refuse"
"""

READING = '''\
"""A task that never rests."""

import os
from pathlib import Path
from typing import Any

from lab import BaseTask


class Reading(BaseTask):
    """Read a furnace again and again until the file ``gate`` exists."""

    def __init__(self, furnace: str, gate: str) -> None:
        self.furnace = furnace
        self.gate = gate

    def run(self) -> dict[str, Any]:
        """Return how many readings were taken."""
        readings = 0
        with self.lab_view.request_resources({self.furnace: {}}) as (devices, _):
            while not Path(self.gate).exists():
                devices[self.furnace].temperature()
                readings += 1
                self.lab_view.update_result("so far", {"readings": readings, "pid": os.getpid()})
                self.lab_view.sleep(0.02)
        return {"readings": readings}
'''


@dataclass(frozen=True)
class Work:
    """The task that runs all the time, and what a commit that is refused must not change."""

    lab: Laboratory
    task: str
    good: str

    def mend(self) -> None:
        """Take back what is wrong with the code; to be committed."""
        self.lab.restore(self.good)

    def facts(self) -> dict[str, Any]:
        task, furnace = self.lab.task(self.task), self.lab.devices()["furnace_1"]
        assert task["result"] is not None
        return {
            "task": {key: task[key] for key in ("status", "attempt", "claim", "pin")},
            "pid": task["result"]["so far"]["pid"],
            "furnace": {key: furnace[key] for key in ("state", "holder", "fence", "binding", "paused")},
            "connects": self.lab.connects(),
            "generation": self.generation(),
        }

    def generation(self) -> int:
        current = Generations(self.lab.records.database).current()
        assert current is not None
        return current.number

    def readings(self) -> int:
        result = self.lab.task(self.task)["result"]
        return int(result["so far"]["readings"]) if result else 0

    def go_on(self) -> None:
        """Wait for two more readings: the second was begun after this was called."""
        enough = self.readings() + 2
        self.lab.until(lambda: self.readings() >= enough)


@pytest.fixture(scope="module")
def shared_work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Work]:
    folder = tmp_path_factory.mktemp("bad_commits")
    with laboratory(folder, SETTINGS) as lab:
        lab.write("my_lab/tasks/reading.py", READING)
        lab.edit("my_lab/__init__.py", "add_task(Ending)", "add_task(Ending)\nadd_task(Reading)")
        lab.edit("my_lab/__init__.py", "from .tasks.holding", "from .tasks.reading import Reading\nfrom .tasks.holding")
        lab.go_live()
        store_a_sample(lab)
        gate = folder / "gate"
        task = lab.submit_one("Reading", {"furnace": "furnace_1", "gate": str(gate)})
        work = Work(lab, task, lab.client.status()["commit"])
        lab.until(work.readings)
        yield work
        gate.touch()
        assert lab.result(work.task)["readings"]


def store_a_sample(lab: Laboratory) -> None:
    moving = {"type": "Moving", "parameters": {"destination": "storage"}, "samples": ["S1"]}
    submitted = lab.client.submit({"name": "store", "samples": [{"name": "S1"}], "tasks": [moving]})
    lab.result(str(lab.client.experiment(submitted)["tasks"][0]["id"]))


@pytest.fixture
def work(shared_work: Work) -> Iterator[Work]:
    """The task, and the code as it was when it began."""
    yield shared_work
    shared_work.mend()


Change = Callable[[Laboratory], None]

LAB, RAMPS, BALANCE = "my_lab/__init__.py", "my_lab/ramps.py", "my_lab/devices/balance.py"
HOLDING = "my_lab/tasks/holding.py"
WRONG = "  # wrong"


@dataclass(frozen=True)
class Bad:
    """A change, what its refusal tells, and the file and a text of the line that it names, where there is one."""

    change: Change
    told: str
    path: str | None = None
    line: str | None = None


def append(path: str, line: str, told: str) -> Bad:
    def change(lab: Laboratory) -> None:
        with (lab.folder / path).open("ab") as file:
            file.write(f"\n{line}{WRONG}\n".encode("latin-1"))

    return Bad(change, told, path, WRONG)


def at_import(statement: str, told: str) -> Bad:
    """A statement in a module that every furnace needs."""
    return append(RAMPS, statement, told)


def registering(statement: str, told: str) -> Bad:
    return append(LAB, statement, told)


def constructing(statement: str, told: str) -> Bad:
    """A statement in the constructor of the balance."""
    old = "        self._errors"
    return Bad(lambda lab: lab.edit(BALANCE, old, f"        {statement}{WRONG}\n{old}"), told, BALANCE, WRONG)


def taking_out(registration: str, told: str) -> Bad:
    return Bad(lambda lab: lab.edit(LAB, registration, ""), told)


def task_taking(parameter: str, told: str) -> Bad:
    return Bad(lambda lab: lab.edit(HOLDING, "gate: str)", f"{parameter})"), told, HOLDING, "def __init__")


BAD = {
    "a syntax error": at_import("MINUTES = = 60", "invalid syntax"),
    "tabs among spaces": at_import("if True:\n        A = 1\n\tB = 1", "TabError"),
    "a conflict left by git": at_import("A = 1\n<<<<<<< HEAD", "invalid syntax"),
    "bytes that are not UTF-8": at_import('NAME = "caf\xe9"', "'utf-8' codec"),
    "a null byte": at_import("A = 1\0", "null bytes"),
    "a module that is missing": at_import("import no_such_module", "No module named 'no_such_module'"),
    "a misspelt name": at_import(
        "from .thermal import Chambre", "name 'Chambre' from 'my_lab.thermal' (my_lab/thermal"
    ),
    "a circle of imports": at_import("from .devices.furnace import Furnace", "circular import"),
    "an import that raises": at_import("raise ValueError('Not\\n  so.')", ": Not so."),
    "endless recursion": at_import("f = lambda: f(); f()", "maximum recursion depth"),
    "an endless import": at_import("while True: pass", "it passed the limit of 4 s of time"),
    "too much memory": at_import(
        "A = [bytes(2**26) for _ in range(10**6)]", "it passed the limit of 4096 MB of memory"
    ),
    "too many files": at_import("A = [open(__file__) for _ in range(10**6)]", "it passed the limit of 1024 open files"),
    "sys.exit": at_import("import sys; sys.exit('enough')", "SystemExit"),
    "os._exit": at_import("import os; os._exit(7)", "ended its process while it was imported (exit code 7)"),
    "a crash": at_import("import ctypes; ctypes.string_at(0)", "(signal 11 (SIGSEGV))"),
    "a base class that is gone": Bad(
        lambda lab: lab.edit("my_lab/devices/simulated.py", "class SimulatedDevice", "class Simulated"),
        "cannot import name 'SimulatedDevice'",
        BALANCE,
        "from .simulated import",
    ),
    "a folder without its init": Bad(
        lambda lab: (lab.folder / "my_lab/devices/__init__.py").unlink(),
        "cannot import name 'Balance'",
        LAB,
        "from .devices import",
    ),
    "a package without its init": Bad(lambda lab: (lab.folder / LAB).unlink(), "is missing", LAB),
    "no package": Bad(lambda lab: shutil.rmtree(lab.folder / "my_lab"), "has no folder my_lab"),
    "a constructor that raises": constructing("raise RuntimeError('no licence')", "RuntimeError: no licence"),
    "a constructor that crashes": constructing(
        "import ctypes; ctypes.string_at(0)", "ended the process that described"
    ),
    "two devices of one name": registering("add_device(Furnace, name='xrd')", "'xrd' is already registered at"),
    "two tasks of one name": registering("add_task(Ending)", "'Ending' is already registered at"),
    "an argument that is not plain": registering("add_device(Furnace, name='f', speed_up=1j)", "not plain data"),
    "a task without run": Bad(
        lambda lab: lab.edit(HOLDING, "def run(", "def rum("), "Holding lacks run", LAB, "add_task(Holding)"
    ),
    "a parameter that JSON cannot carry": task_taking("gate: type(Path)", "parameters of task Holding"),
    "a default that JSON cannot carry": task_taking("gate: Any = object()", "'gate' of task Holding has a default"),
    "no furnace for the task that holds it": taking_out(
        'add_device(Furnace, name="furnace_1", speed_up=SPEED_UP)', "furnace_1 (Reading "
    ),
    "no place for a sample that stands there": taking_out(
        'add_standalone_sample_position(SamplePosition("storage", number=32, description="rack for finished samples"))',
        "storage/1 (sample S1 stands there)",
    ),
    "a link out of the package": Bad(
        lambda lab: (lab.folder / "my_lab/hosts").symlink_to("/etc/hosts"), "my_lab/hosts is a symbolic link"
    ),
    "a name that not every system allows": Bad(lambda lab: lab.write("my_lab/a:b.json", "{}"), "'my_lab/a:b.json'"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_bad_commit_is_refused_in_one_sentence_and_disturbs_nothing(work: Work, bad: Bad) -> None:
    lab, before = work.lab, work.facts()
    bad.change(lab)
    refresh = lab.refresh()
    assert (refresh["outcome"], refresh.get("path"), refresh.get("line")) == ("rejected", bad.path, line_of(lab, bad))
    told = refresh["error"]
    assert bad.told in told
    assert all(str(place) in told for place in (bad.path, line_of(lab, bad)) if place is not None)
    assert "\n" not in told and "Traceback" not in told and str(lab.state) not in told
    shown = lab.client.status()["refresh"]
    assert (shown["outcome"], shown["error"]) == ("rejected", told)
    work.go_on()
    assert work.facts() == before
    work.mend()
    assert lab.refresh()["outcome"] == "unchanged"


def line_of(lab: Laboratory, bad: Bad) -> int | None:
    """The number of the line that is to blame."""
    if bad.path is None or bad.line is None:
        return None
    return (lab.folder / bad.path).read_bytes().partition(bad.line.encode())[0].count(b"\n") + 1


def test_the_next_good_commit_goes_live_and_the_task_keeps_its_code(work: Work) -> None:
    lab, before = work.lab, work.facts()
    lab.edit(RAMPS, "SECONDS_PER_MINUTE = 60.0", "SECONDS_PER_MINUTE =")
    sentence = lab.refresh()["error"]
    assert " ".join(sentence.split()) in " ".join(lab.cli("status").split())
    work.mend()
    lab.write_code()
    generation = lab.go_live()
    assert generation == before["generation"] + 1
    work.go_on()
    assert work.facts() == {**before, "generation": generation}
    assert "rejected" not in lab.cli("status")
