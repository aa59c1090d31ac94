"""Version pinning, compared: what runs keeps the code it was started with, whatever goes live meanwhile.

The first half runs two frozen versions of a small package side by side in version processes, through
``hotswap.open``. The second half watches one task of a real, launched laboratory live through a promotion, a
rollback and the death of its worker.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from laboratory import Laboratory, laboratory

import hotswap

pytestmark = pytest.mark.system

# ---- two versions side by side ---------------------------------------------------------------------------------------

# One package, many versions of it: only the word VERSION differs, in two modules and in a data file.
RECIPES = {
    "__init__.py": "",
    "settings.py": "NAME = 'VERSION'\n",
    "late.py": "NAME = 'VERSION'\n",
    "data/recipe.txt": "VERSION",
    "show.py": "from recipes.settings import NAME\n\nif __name__ == '__main__':\n    print(NAME)\n",
    "work.py": """
import importlib
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from threading import Barrier

import recipes.settings
from . import settings


def import_in_function():
    from .late import NAME
    return NAME


def import_again():
    sys.modules.pop("recipes.late", None)
    return importlib.import_module("recipes.late").NAME


def import_absolutely():
    return recipes.settings.NAME


def import_relatively():
    return settings.NAME


def read_data():
    return (Path(__file__).parent / "data" / "recipe.txt").read_text()


def run_program():
    command = [sys.executable, "-m", "recipes.show"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def spawn_process():
    return in_process("spawn")


def fork_process():
    return in_process("fork")


def start_threads():
    with ThreadPoolExecutor(4) as pool:
        (name,) = set(pool.map(lambda _: import_in_function(), range(4)))
    return name


def in_process(method):
    with get_context(method).Pool(1) as pool:
        return pool.apply(import_in_function)


def work_hard(threads, meeting, versions):
    '''Import and read in many threads at once, while all the other versions do the same.'''
    start = Barrier(threads)

    def work(_):
        start.wait()
        return {look() for _ in range(20) for look in (import_in_function, read_data, import_relatively)}

    (Path(meeting) / settings.NAME).touch()
    while len(list(Path(meeting).iterdir())) < versions:
        time.sleep(0.001)
    with ThreadPoolExecutor(threads) as pool:
        return [sorted(seen) for seen in pool.map(work, range(threads))]
""",
}

Freeze = Callable[[str], str]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> hotswap.Store:
    return hotswap.Store(tmp_path_factory.mktemp("pinning") / "store")


@pytest.fixture(scope="module")
def freeze(tmp_path_factory: pytest.TempPathFactory, store: hotswap.Store) -> Freeze:
    """Write a version of the package over the one before, in the same folder, and freeze it; returns its id."""
    package = tmp_path_factory.mktemp("source") / "recipes"

    def freeze(version: str) -> str:
        for name, text in RECIPES.items():
            path = package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("VERSION", version))
        return store.freeze(hotswap.TreeSource(package)).id

    return freeze


@pytest.fixture(scope="module")
def old_and_new(store: hotswap.Store, freeze: Freeze) -> Iterator[tuple[hotswap.Version, hotswap.Version]]:
    """Two running versions. The second was written over the first, and came live while that was running."""
    with hotswap.open(freeze("old"), store.root) as old, hotswap.open(freeze("new"), store.root) as new:
        yield old, new


@pytest.mark.parametrize(
    "look",
    [
        "import_in_function",
        "import_again",
        "import_absolutely",
        "import_relatively",
        "read_data",
        "run_program",
        "spawn_process",
        "fork_process",
        "start_threads",
    ],
)
def test_each_version_sees_only_itself(old_and_new: tuple[hotswap.Version, hotswap.Version], look: str) -> None:
    old, new = old_and_new
    assert (old.run(f"recipes.work:{look}"), new.run(f"recipes.work:{look}")) == ("old", "new")


def test_four_versions_with_sixteen_threads_each_at_once(store: hotswap.Store, freeze: Freeze, tmp_path: Path) -> None:
    names = ["north", "east", "south", "west"]
    with ExitStack() as closing, ThreadPoolExecutor(4) as pool:
        versions = [closing.enter_context(hotswap.open(freeze(name), store.root)) for name in names]
        seen = list(pool.map(lambda each: each.run("recipes.work:work_hard", 16, str(tmp_path), 4), versions))
    assert seen == [[[name]] * 16 for name in names]


# ---- a task of a running laboratory ----------------------------------------------------------------------------------

COLD = 25.0  # what every furnace reads in these tests


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("pinned")) as launched:
        yield launched


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Tasks of these tests run until this file exists."""
    return tmp_path / "gate"


def test_a_running_task_keeps_its_code_across_a_promotion_and_a_rollback(lab: Laboratory, gate: Path) -> None:
    first, old = lab.generation(), lab.code
    before = lab.hold("furnace_1", gate)

    new = lab.write_code()
    second = lab.go_live()
    after = lab.hold("furnace_2", gate)

    rolled_back = lab.client.roll_back(first)
    again = lab.hold("furnace_3", gate)

    gate.touch()
    assert [lab.result(task) for task in (before, after, again)] == [
        {"early": [code, COLD], "late": [code, COLD]} for code in (old, new, old)
    ]
    pins = [lab.task(task)["pin"] for task in (before, after, again)]
    assert [pin and pin["generation"] for pin in pins] == [first, second, rolled_back["generation"]]


def test_a_lost_task_keeps_its_pin_and_runs_its_old_code_when_it_is_retried(lab: Laboratory, gate: Path) -> None:
    old = lab.write_code()
    generation = lab.go_live()
    task = lab.hold("furnace_1", gate)
    pin = lab.task(task)["pin"]
    assert pin is not None and pin["generation"] == generation

    lab.write_code()
    lab.go_live()
    os.kill(lab.version_processes()[f"worker-{pin['snapshot'][:12]}"], 9)
    assert lab.reached(task, "LOST")["pin"] == pin

    lab.client.retry(task)
    gate.touch()
    assert lab.result(task) == {"early": [old, COLD], "late": [old, COLD]}
    told = lab.task(task)
    assert (told["pin"], told["attempt"]) == (pin, 2)
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["LOST", "COMPLETED"]
