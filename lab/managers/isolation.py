"""Tasks with ``isolation = "process"``: each attempt has a process of its own, which can be killed at any moment."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from hotswap.errors import HotswapError
from hotswap.process import Identity
from lab.catalog import Catalog
from lab.managers.subtasks import end_subtasks
from lab.records import CLAIMED, Document, Records, Task, TaskStatus, ended_attempt, now
from lab.samples import samples_left

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


def end_killed(records: Records, task: Task) -> bool:
    """Cancel such a task; what it held is given back as its class says. Whether it was still claimed."""
    claim, pin = task["claim"], task["pin"]
    assert claim is not None
    assert pin is not None
    attempt = ended_attempt(task["attempt"], pin, claim["worker"], task["started_at"], TaskStatus.CANCELLED)
    query = {"_id": task["_id"], "status": {"$in": list(CLAIMED)}, "claim.token": claim["token"]}
    fields = {"reason": "It was cancelled, and its process ended.", **_ending(records, task)}
    change: dict[str, Any] = {"$set": fields, "$push": {"attempts": attempt}}
    if not records.tasks.update_one(query, change).modified_count:
        return False
    end_subtasks(records, task["_id"], "Its parent was cancelled.")
    records.log("task.killed", task["_id"], process=claim.get("process"))
    return True


def _ending(records: Records, task: Task) -> Document:
    """CANCELLED, or first FINISHING where its class has people take out the samples it leaves."""
    if Catalog(records).policy(task, "clean_up") == "ask" and samples_left(records, task["_id"]):
        return {"status": TaskStatus.FINISHING, "ends_as": TaskStatus.CANCELLED, "claim": None}
    return {"status": TaskStatus.CANCELLED, "ended_at": now()}


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
