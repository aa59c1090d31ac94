"""Tasks with ``isolation = "process"``: each attempt has a process of its own, which can be killed at any moment."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from hotswap.errors import HotswapError
from hotswap.process import Identity
from lab.catalog import Catalog
from lab.managers.claims import take
from lab.managers.clean_up import ending
from lab.records import CLAIMED, Document, Records, Task, TaskStatus

ENTRY: Final = "lab.worker:alone"
_MB: Final = 2**20

log = logging.getLogger(__name__)


class Fleet(Protocol):
    """The part of ``hotswap.fleet.FleetClient`` that is used here."""

    def ensure(self, name: str, snapshot: str, entry: str, arguments: Document) -> object: ...
    def drain(self, name: str, instance: str | None = None) -> object: ...
    def stop(self, name: str, grace: float, instance: str | None = None) -> object: ...
    def processes(self) -> list[Document]: ...


class LoneProcesses:
    """A process is drained as soon as it serves: it ends with its task, and is not started again."""

    def __init__(self, fleet: Fleet, arguments: Document) -> None:
        self._fleet = fleet
        self._arguments = arguments
        self._starting: set[str] = set()
        self._lock = threading.Lock()

    def start(self, snapshot: str, task: str, attempt: int) -> None:
        """Start the process of an attempt in the background, unless it is there."""
        name = process_name(task, attempt)
        with self._lock:
            if name in self._starting:
                return
            self._starting.add(name)
        arguments = {**self._arguments, "task": task, "attempt": attempt}
        threading.Thread(
            target=self._start, args=(name, snapshot, arguments), name=f"start {name}", daemon=True
        ).start()

    def kill(self, name: str) -> None:
        """Kill a process and wait until it is dead. Raises HotswapError or OSError when that cannot be done."""
        self._fleet.stop(name, 0.0)

    def sweep(self) -> None:
        """Drain those that earlier managers started and did not live to drain."""
        try:
            for process in self._fleet.processes():
                if process["entry"] == ENTRY and process["state"] != "ending":
                    self._fleet.drain(process["name"])
        except (HotswapError, OSError) as error:
            log.warning("Processes of single tasks are not looked after: %s", error)

    def _start(self, name: str, snapshot: str, arguments: Document) -> None:
        try:
            if not any(each["name"] == name and each["alive"] for each in self._fleet.processes()):
                self._fleet.ensure(name, snapshot, ENTRY, arguments)
            self._fleet.drain(name)
        except (HotswapError, OSError) as error:
            log.warning("%s did not start and is tried again: %s", name, error)
        finally:
            with self._lock:
                self._starting.discard(name)


def process_name(task: str, attempt: int) -> str:
    """The name of the process that an attempt at a task has for itself."""
    return f"task-{task}-{attempt}"


def was_killed(task: Task) -> bool:
    """Whether a task whose process is dead had that process for itself and was to end: that is how it ended."""
    claim = task["claim"]
    return claim is not None and claim.get("process") is not None and task["cancel_requested"]


def end_killed(records: Records, catalog: Catalog, task: Task) -> bool:
    """Cancel such a task; what it held is given back as its class says. Whether it was still claimed."""
    assert task["claim"] is not None
    fields = ending(records, catalog, task, TaskStatus.CANCELLED)
    fields["reason"] = "It was cancelled, and its process ended."
    if not take(records, task, TaskStatus.CANCELLED, fields, "Its parent was cancelled."):
        return False
    records.log("task.killed", task["_id"], process=task["claim"].get("process"))
    return True


def usage(records: Records, task: Task) -> Document | None:
    """``{name, pid, memory_mb, cpu_seconds}`` of the process that a task at work has for itself; None for any other."""
    claim = task["claim"]
    if claim is None or claim.get("process") is None or task["status"] not in CLAIMED:
        return None
    worker = records.workers.find_one({"_id": claim["worker"]}, {"identity": 1})
    if worker is None:
        return None
    pid = Identity.from_dict(worker["identity"]).pid
    with suppress(OSError, ValueError, IndexError):  # it has ended, or this system does not tell
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        memory = pages * os.sysconf("SC_PAGE_SIZE") / _MB
        cpu = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        return {"name": claim["process"], "pid": pid, "memory_mb": round(memory, 1), "cpu_seconds": round(cpu, 2)}
    return {"name": claim["process"], "pid": pid, "memory_mb": None, "cpu_seconds": None}
