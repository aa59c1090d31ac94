"""How fast version processes start: the template of a snapshot, and a worker forked from it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, Reference, limit, median
from benchmarks.laboratory import Laboratory, laboratory
from benchmarks.results import Benchmark, Findings
from hotswap.fleet import Fleet
from hotswap.store import Store
from lab.services.supervisor import PRELOAD

_BUDGET: Final = limit(0.2, "s", "a worker consumes after its template is ready")
_STOP_SECONDS: Final = 10.0


def run(quick: bool) -> Findings:
    """A fleet of our own starts templates and workers of the laboratory's snapshot, beside the laboratory's."""
    n = 5 if quick else 30
    with laboratory() as lab, tempfile.TemporaryDirectory() as run_dir:
        snapshot = lab.client.status()["snapshot"]
        fleet = Fleet(Store(lab.state / "store"), Path(run_dir), lab.settings.token, preload=PRELOAD)
        with closing(_Ended(fleet)):
            templates = _templates(fleet, snapshot, n)
            workers = _workers(fleet, lab, snapshot, n)
        fresh = _fresh_imports(Store(lab.state / "store").tree(snapshot), 5 if quick else 10)
    bare = Reference("a fresh interpreter that imports the same, same run", median(fresh))
    return Findings(
        [
            Figure("template_start", median(templates), "s", n, bare),
            Figure("worker_fork", median(workers), "s", n, _BUDGET),
        ]
    )


class _Ended:
    """Ends a fleet with its processes when it is closed."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def close(self) -> None:
        self._fleet.close(end=True)


def _templates(fleet: Fleet, snapshot: str, n: int) -> list[float]:
    """From the request to a template that has imported the snapshot and answers; the zygote runs already."""
    fleet.describe(snapshot)
    samples = []
    for _ in range(n):
        fleet.release(snapshot)
        samples.append(_timed(lambda: fleet.describe(snapshot)))
    return samples


def _workers(fleet: Fleet, lab: Laboratory, snapshot: str, n: int) -> list[float]:
    """From the request to a worker that consumes its queue; the template is ready."""
    arguments = lab.settings.process_arguments()
    samples = []
    for number in range(n):
        name = f"benchmark-{number}"
        samples.append(_timed(lambda name=name: fleet.ensure(name, snapshot, "lab.worker:main", arguments)))  # type: ignore[misc]
        fleet.stop(name, _STOP_SECONDS)
    return samples


def _fresh_imports(tree: Path, n: int) -> list[float]:
    """What a worker would pay without template and zygote: a new process with the same imports."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-P", "-c", f"import {', '.join(PRELOAD)}, my_lab"]
    return [_timed(lambda: subprocess.run(command, env=environment, check=True)) for _ in range(n)]


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


BENCHMARK: Final = Benchmark("start of version processes", ("template_start", "worker_fork"), run)
