"""One more live version of a package of 200 modules: how fast it starts and what it costs, beside doing it plainly."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import redis

from benchmarks import modules
from benchmarks.figures import Figure, Reference, limit, median
from benchmarks.results import Benchmark, Findings
from hotswap.fleet import Fleet, Started
from hotswap.process import Identity
from hotswap.routing import make_broker, send
from hotswap.source import TreeSource
from hotswap.store import Store
from lab.services import start_broker, stop

_TIMES_PLAIN: Final = 1.5
_CONSUMING_SECONDS: Final = 0.2
_PRIVATE_MB: Final = 20.0
_MB: Final = 1e6
_PATIENCE_SECONDS: Final = 60
_PRELOAD: Final = (*modules.THIRD_PARTY, "hotswap.routing", "hotswap.process")

_PLAIN_IMPORT: Final = (
    "import time, {third_party}\nbegan = time.perf_counter()\nimport {package}\nprint(time.perf_counter() - began)"
)


@dataclass(frozen=True)
class Plain:
    """A dramatiq worker as its users start it: seconds until it had done its first message, and its memory in MB."""

    seconds: float
    memory: float


def run(quick: bool) -> Findings:
    """Two versions that differ in one module; the second is the one more."""
    n = 5 if quick else 20
    with _ground() as ground:
        templates, imports = zip(*((ground.template(), ground.plain_import()) for _ in range(n)), strict=True)
        plain = [ground.plain_worker() for _ in range(3 if quick else 5)]
        consuming = [ground.worker() for _ in range(n)]
        private, whole = ground.memory()
    beside = f"a plain dramatiq worker of the same package, same run: {median([one.seconds for one in plain]):.2f} s"
    budget = median(imports) * _TIMES_PLAIN
    return Findings(
        [
            Figure("template_start_200", median(templates), "s", n, _of_imports(budget, imports)),
            Figure("worker_consuming_200", median(consuming), "s", n, limit(_CONSUMING_SECONDS, "s", beside)),
            Figure("version_private_200", private, "MB", 1, limit(_PRIVATE_MB, "MB", "template and worker, private")),
            Figure("version_pss_200", whole, "MB", 1, _of_plain(plain)),
        ]
    )


def _of_imports(budget: float, imports: Sequence[float]) -> Reference:
    plain = f"{_TIMES_PLAIN:g} times a plain import of the same {modules.MODULES} modules, same run"
    return limit(round(budget, 3), "s", f"{plain}: {median(imports):.3f} s")


def _of_plain(plain: list[Plain]) -> Reference:
    return Reference("PSS of a plain dramatiq worker of the same package, same run", median([p.memory for p in plain]))


class _Ground:
    """A store with two versions, a fleet in which the first one runs, and a broker."""

    def __init__(self, folder: Path, broker_url: str, undo: ExitStack) -> None:
        store = Store(folder / "store")
        self._first, self._second = (
            store.freeze(TreeSource(modules.write(folder / "source", version))).id for version in (1, 2)
        )
        modules.write_plain(folder)
        self._paths = os.pathsep.join([str(store.tree(self._second)), str(folder)])
        self._url = broker_url
        self._broker = make_broker(broker_url)
        self._answers = redis.Redis.from_url(broker_url)
        self._fleet = Fleet(store, folder / "run", "secret", preload=_PRELOAD)
        undo.callback(self._fleet.close, end=True)
        undo.callback(self._answers.close)
        undo.callback(self._broker.close)
        self._ensure("first", self._first)

    def plain_import(self) -> float:
        """Seconds to import the package in a fresh interpreter that has what it uses of others."""
        code = _PLAIN_IMPORT.format(third_party=", ".join(modules.THIRD_PARTY), package=modules.PACKAGE)
        return float(subprocess.check_output([sys.executable, "-P", "-c", code], env=self._environment("")))

    def template(self) -> float:
        """Seconds from the request for a template to its answer; the zygote runs."""
        self._fleet.release(self._second)
        began = time.perf_counter()
        self._fleet.describe(self._second)
        return time.perf_counter() - began

    def worker(self) -> float:
        """Seconds from the request for a worker until it has done the message that waits; the template runs."""
        send(self._broker, "second", "work", "answer")
        began = time.perf_counter()
        self._ensure("second", self._second)
        self._await("answer")
        spent = time.perf_counter() - began
        self._fleet.stop("second", grace=10)
        return spent

    def plain_worker(self) -> Plain:
        """The same with ``python -m dramatiq``, one process and two threads."""
        send(self._broker, "plain", "work", "answer")
        command = [sys.executable, "-m", "dramatiq", modules.PLAIN, "--processes", "1", "--threads", "2"]
        began = time.perf_counter()
        process = subprocess.Popen(command, env=self._environment("plain"), stderr=subprocess.DEVNULL)
        try:
            self._await("answer")
            spent = time.perf_counter() - began
            root = psutil.Process(process.pid)
            memory = sum(each.memory_full_info().pss for each in [root, *root.children(recursive=True)])
        finally:
            process.terminate()
            process.wait()
        return Plain(spent, memory / _MB)

    def memory(self) -> tuple[float, float]:
        """Private and proportional memory of the template and the worker of the second version, both in MB."""
        send(self._broker, "second", "work", "answer")
        self._ensure("second", self._second)
        self._await("answer")
        found = [each for each in self._fleet.processes() if each["snapshot"] == self._second]
        sizes = [psutil.Process(Identity.from_dict(each["identity"]).pid).memory_full_info() for each in found]
        return sum(size.uss for size in sizes) / _MB, sum(size.pss for size in sizes) / _MB

    def _ensure(self, name: str, snapshot: str) -> Started:
        arguments: dict[str, Any] = {"broker_url": self._url, "queue": name}
        return self._fleet.ensure(name, snapshot, modules.ENTRY, arguments)

    def _await(self, answer: str) -> None:
        if self._answers.blpop([answer], timeout=_PATIENCE_SECONDS) is None:
            raise TimeoutError(f"No worker did the message within {_PATIENCE_SECONDS} s.")

    def _environment(self, queue: str) -> dict[str, str]:
        own = {"PYTHONPATH": self._paths, "PYTHONDONTWRITEBYTECODE": "1"}
        return {**os.environ, **own, "BENCHMARK_BROKER_URL": self._url, "BENCHMARK_QUEUE": queue}


@contextmanager
def _ground() -> Iterator[_Ground]:
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="hotswap-benchmark-")))
        broker = start_broker(folder)
        undo.callback(stop, broker)
        yield _Ground(folder, broker.url, undo)


BENCHMARK: Final = Benchmark(
    f"one more live version of {modules.MODULES} modules",
    ("template_start_200", "worker_consuming_200", "version_private_200", "version_pss_200"),
    run,
)
