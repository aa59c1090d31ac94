"""``hotswap stop``: end what runs of an application, whoever left it running; the broker need not be there."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO

from hotswap.errors import ProcessError
from hotswap.fleet import Fleet, Run
from hotswap.process.runs import Runs
from hotswap.store import Store
from hotswap.worker.folder import RunFolder
from hotswap.worker.live import SPARE_SECONDS


@dataclass(frozen=True)
class Ended:
    """``worker`` is the pid of the one that was told to end; ``versions`` are processes that no worker looked after."""

    worker: int | None
    versions: tuple[str, ...]


def stop(store: Store, app: str, tell: Callable[[str], None] = lambda _: None) -> Ended:
    """End the worker of ``app``, if one runs, and every process that it, or an earlier one, left behind.

    What runs has the grace period that its worker was given; ``tell`` is told whom it waits for. Messages that do not
    end in it stay on the broker, for the next worker. Raises ProcessError when a worker cannot be told to end.
    """
    folder = RunFolder(store.root, app)
    lock = folder.take_if_free()
    worker = None
    if lock is None:
        worker = _end_worker(folder, app, tell)
        lock = _take(folder, app)
    with lock:
        return Ended(worker, _end_left(store, folder, tell))


def _end_worker(folder: RunFolder, app: str, tell: Callable[[str], None]) -> int:
    worker = folder.worker()
    if worker is None or not worker.signal(signal.SIGTERM):
        raise ProcessError(f"{app} is being started or stopped at this moment: try again.")
    tell(f"the worker of {app}, process {worker.pid}, was told to end")
    worker.wait(None)
    return worker.pid


def _take(folder: RunFolder, app: str) -> IO[str]:
    lock = folder.take_if_free()
    if lock is None:
        raise ProcessError(f"Another worker of {app} was started meanwhile: stop it, too, if you want none.")
    return lock


def _end_left(store: Store, folder: RunFolder, tell: Callable[[str], None]) -> tuple[str, ...]:
    """Nothing is adopted: the fleet would start again what has died."""
    runs = [run for run in Runs(folder.path).load() if run.identity.alive()]
    versions = tuple(sorted(run.name for run in runs if run.kind == "process"))
    grace = _grace(runs)
    if versions:
        tell(f"{', '.join(versions)}: what runs has {grace:g} s to finish")
    Fleet(store, folder.path, folder.secret()).close(end=True, grace=grace + SPARE_SECONDS)
    return versions


def _grace(runs: Iterable[Run]) -> float:
    """Seconds that the workers gave."""
    return max((float((run.arguments or {}).get("grace", 0)) for run in runs), default=0.0)
