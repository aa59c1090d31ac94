"""What the gate costs a refresh: a thousand queued tasks, all different, constructed and validated with new code."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pymongo import MongoClient

from benchmarks.figures import Figure, Reference, median
from benchmarks.results import Benchmark, Findings
from hotswap.fleet import Fleet
from hotswap.source import TreeSource
from hotswap.store import Store
from lab.managers.examination import Examiner
from lab.records import Document, Records, Task, new_task

_TASKS: Final = 1000
_CODE: Final = """
from lab import BaseTask, add_task


class Heating(BaseTask):
    def __init__(self, celsius: float, minutes: int = 60):
        self.celsius = celsius
        self.minutes = minutes

    def validate(self):
        return self.celsius < 2000

    def run(self):
        return {}


add_task(Heating)
"""
_BARE: Final = f"""
import time
from gated_lab import Heating

began = time.perf_counter()
for celsius in range({_TASKS}):
    task = Heating(celsius=float(celsius), minutes=30)
    assert task.validate()
print(time.perf_counter() - began)
"""


def run(quick: bool) -> Findings:
    """Ask the fork of a template that runs, as the plan of a refresh does."""
    n = 3 if quick else 20
    queue = [_queued(celsius) for celsius in range(_TASKS)]
    with _ground() as (fleet, snapshot, tree), MongoClient[Document](connect=False) as nowhere:
        examiner = Examiner(Records(nowhere["nothing"]), fleet.ask)  # tasks without samples ask no database
        assert not examiner.objections(snapshot, queue)
        gate = [_seconds(examiner, snapshot, queue) for _ in range(n)]
        bare = [float(subprocess.check_output([sys.executable, "-c", _BARE], cwd=tree)) for _ in range(n)]
    beside = Reference(
        "the same thousand constructed and validated in a process that has the code, same run", median(bare)
    )
    return Findings([Figure("gate_queue_1000", median(gate), "s", n, beside)])


@contextmanager
def _ground() -> Iterator[tuple[Fleet, str, Path]]:
    """A fleet, and a snapshot of a small lab, with its tree."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package = folder / "gated_lab"
        package.mkdir()
        (package / "__init__.py").write_text(_CODE)
        store = Store(folder / "store")
        snapshot = store.freeze(TreeSource(package)).id
        fleet = Fleet(store, folder / "run", "secret", preload=("lab.definitions",))
        try:
            yield fleet, snapshot, store.tree(snapshot)
        finally:
            fleet.close(end=True)


def _queued(celsius: int) -> Task:
    return new_task("Heating", {"celsius": float(celsius), "minutes": 30}, samples=[], experiment="queue")


def _seconds(examiner: Examiner, snapshot: str, queue: list[Task]) -> float:
    began = time.perf_counter()
    examiner.objections(snapshot, queue)
    return time.perf_counter() - began


BENCHMARK: Final = Benchmark("the gate for queued tasks", ("gate_queue_1000",), run)
