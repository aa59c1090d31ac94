"""The worker process of each snapshot: started when it is needed, ended only when it runs nothing."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, Protocol

from hotswap.errors import RemoteError
from hotswap.wire import Address, Client, WireError
from lab.records import Document, Records

ENTRY: Final = "lab.worker:main"
_GRACE_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 5.0

Ask = Callable[[Address], bool]

log = logging.getLogger(__name__)


class Started(Protocol):
    """What is known of a process that was started or found."""

    @property
    def instance(self) -> str: ...


class Fleet(Protocol):
    """The part of ``hotswap.fleet.FleetClient`` that is used here."""

    def ensure(self, name: str, snapshot: str, entry: str, arguments: Document) -> Started: ...
    def stop(self, name: str, grace: float, instance: str | None = None) -> object: ...
    def release(self, snapshot: str) -> object: ...
    def processes(self) -> list[Document]: ...


class WorkerProcesses:
    """``ask`` tells the worker at an address to retire, False while it runs tasks; ``purge`` deletes the queue.

    Code of abandoned tasks is no reason to go on: it ends with the worker, which is killed if need be.

    A worker that has retired never takes tasks again, so a snapshot that is needed once more gets a fresh one. For
    each snapshot, starting and ending take turns: nobody ends a worker that was just started.
    """

    def __init__(
        self, records: Records, fleet: Fleet, arguments: Document, ask: Ask, purge: Callable[[str], None]
    ) -> None:
        self._records = records
        self._fleet = fleet
        self._arguments = arguments
        self._ask = ask
        self._purge = purge
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def ensure(self, snapshot: str) -> None:
        """Have a worker run that takes tasks; may take seconds. Raises HotswapError when it does not start."""
        with self._turns[snapshot]:
            started = self._start(snapshot)
            if self._records.workers.find_one({"instance": started.instance, "capacity": 0}) is not None:
                self._fleet.stop(worker_name(snapshot), _GRACE_SECONDS, started.instance)
                self._start(snapshot)

    def retire(self, snapshot: str) -> bool:
        """End its worker and what only that needs; False, and it goes on, while it runs tasks or does not answer.

        Only the processes that agreed are ended, so False too where the fleet has started another one meanwhile.
        """
        with self._turns[snapshot]:
            asked = self._processes(snapshot)
            if not all(self._agrees(address) for address in self._addresses(snapshot, asked)):
                return False
            for process in asked:
                self._fleet.stop(worker_name(snapshot), _GRACE_SECONDS, process["instance"])
            if self._processes(snapshot):
                return False
            self._purge(snapshot)
            self._fleet.release(snapshot)
            return True

    def _processes(self, snapshot: str) -> list[Document]:
        """What the fleet has of the snapshot's worker: one that waits for memory has no address and no instance yet."""
        return [process for process in self._fleet.processes() if process["name"] == worker_name(snapshot)]

    def _addresses(self, snapshot: str, processes: list[Document]) -> set[Address]:
        recorded = self._records.workers.find({"snapshot": snapshot}, {"address": 1})
        running = [process for process in processes if process["address"] is not None]
        return {(each["address"][0], each["address"][1]) for each in (*recorded, *running)}

    def _start(self, snapshot: str) -> Started:
        return self._fleet.ensure(worker_name(snapshot), snapshot, ENTRY, self._arguments)

    def _agrees(self, address: Address) -> bool:
        try:
            return self._ask(address)
        except ConnectionError:
            return True  # nobody is there to run anything
        except (OSError, RemoteError, WireError) as error:
            if isinstance(error, TimeoutError) and self._is_stuck(address):
                return True
            log.warning("The worker at %s:%s is asked to retire again later: %s", *address, error)
            return False

    def _is_stuck(self, address: Address) -> bool:
        """Whether abandoned code may be what keeps a worker from answering; it is asked when nothing else needs it."""
        stuck = {"address": list(address), "stuck.0": {"$exists": True}}
        return self._records.workers.find_one(stuck, {"_id": 1}) is not None


def ask_to_retire(secret: str) -> Ask:
    """Asks over the wire."""

    def ask(address: Address) -> bool:
        with Client(address, secret, timeout=_ANSWER_SECONDS) as client:
            answer: Any = client.call("retire")
        return answer is True

    return ask


def worker_name(snapshot: str) -> str:
    """The name of the process that runs the tasks of a code version on this host."""
    return f"worker-{snapshot[:12]}"
