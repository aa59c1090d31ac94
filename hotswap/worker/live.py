"""The versions of one application that run on this host: the current one, and those that still have messages."""

from __future__ import annotations

import logging
import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from hotswap import wire
from hotswap.digest import hash_json
from hotswap.errors import HotswapError, ProcessError, RemoteError, UnknownSnapshotError
from hotswap.fleet import Fleet, Limits
from hotswap.generations import FileGenerations
from hotswap.routing import VersionedBroker
from hotswap.snapshot import SHORT
from hotswap.store import Store
from hotswap.worker.folder import RunFolder

_ENTRY: Final = "hotswap.worker.process:main"
_HOOK: Final = "hotswap.worker.process:describe"
_PRELOAD: Final = ("redis", "dramatiq", "hotswap.worker.collecting", "hotswap.worker.process")
_AGAIN_SECONDS: Final = 30.0
SPARE_SECONDS: Final = 5.0
"""What a process has beyond its grace to end, before it is killed."""

_ASK_SECONDS: Final = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How versions run; ``grace`` is what a message has, in seconds, to end by itself when its process is stopped.

    ``memory_mb`` (MB of 2^20 bytes) is what all versions together may use; ``limits`` hold for each while it imports.
    """

    broker_url: str
    threads: int = 8
    grace: float = 10.0
    namespace: str = "dramatiq"
    memory_mb: int | None = None
    limits: Limits = field(default_factory=Limits)

    def of_process(self) -> dict[str, Any]:
        """What a version process is told of them."""
        return {name: value for name, value in asdict(self).items() if name not in ("memory_mb", "limits")}


def held_for(app: str) -> str:
    """The reason for which the versions of an application are held in their store."""
    return f"worker {app}"


def check(store: Store, snapshot: str, limits: Limits) -> None:
    """See that a worker would run the snapshot: start a template of it as a worker does, and end it again.

    Raises DescribeError with what is wrong with its code.
    """
    with tempfile.TemporaryDirectory(prefix="hotswap-") as folder:
        fleet = Fleet(store, Path(folder), secrets.token_hex(32), hook=_HOOK, preload=_PRELOAD, limits=limits)
        try:
            fleet.describe(snapshot)
        finally:
            fleet.close(end=True)


class LiveVersions:
    """Starts, drains and ends the processes of ``app``. One at a time on a store: raises ProcessError for a second.

    A version is *open* on the broker from its first message until it has none any more; it is held in the store, and
    has a process, for at least as long.
    """

    def __init__(self, store: Store, app: str, settings: Settings, on_failure: Callable[[str, str], None]) -> None:
        self._store = store
        self._app = app
        self._settings = settings
        self._on_failure = on_failure
        folder = RunFolder(store.root, app)
        self._run_dir = folder.path
        self._lock = folder.take()
        self._broker = VersionedBroker(
            settings.broker_url, FileGenerations(store.root, app), namespace=settings.namespace, middleware=[]
        )
        self._secret = folder.secret()
        self._fleet = Fleet(
            store,
            self._run_dir,
            self._secret,
            hook=_HOOK,
            preload=_PRELOAD,
            limits=settings.limits,
            memory_mb=settings.memory_mb,
        )
        self._arguments = {**settings.of_process(), "store": str(store.root), "folder": str(Path.cwd())}
        self._adopted = False
        self._interrupted = False
        self._running: set[str] = set()
        self._opened: set[str] = set()
        self._failures: dict[str, tuple[str, float]] = {}

    @property
    def logs(self) -> Path:
        """The folder with a log file for each process."""
        return self._run_dir

    def adopt(self, current: str | None) -> None:
        """Take over what an earlier worker left running, and end what nobody needs any more.

        Raises RoutingError when the broker does not answer; then what runs is left alone, by ``close`` too.
        """
        needed = self._ask_opened() | ({current} if current else set())
        self._fleet.adopt()
        self._adopted = True
        names = {self._name(snapshot) for snapshot in needed}
        for run in self._fleet.processes():
            if run["kind"] == "process" and run["name"] not in names:
                self._fleet.stop(run["name"], self._settings.grace + SPARE_SECONDS)
        for snapshot in self._store.list():
            if snapshot.id not in needed:
                self._release(snapshot.id)

    def start(self, snapshot: str) -> None:
        """Have a process of this version, and let it take messages.

        Raises DescribeError when it is the code that does not start; RoutingError when the broker does not answer,
        NoRoomError when there is no memory for it, and ProcessError when a process does not start: then the same may
        succeed later. It does not wait for memory, which other versions give back by ending, and that is seen to here.
        """
        try:
            self._store.hold(snapshot, held_for(self._app))
            self._fleet.describe(snapshot, timeout=0)
            self._fleet.ensure(self._name(snapshot), snapshot, _ENTRY, self._arguments, timeout=0)
        except OSError as problem:
            raise ProcessError(
                f"Version {snapshot[:SHORT]} was not started, as what starts it does not answer ({problem}); "
                f"see the logs in {self._run_dir}."
            ) from problem
        self._broker.open(snapshot)
        self._running.add(snapshot)

    def interrupt(self) -> None:
        """Start nothing any more, and give up what is being started. Callable from a signal handler."""
        self._interrupted = True
        self._fleet.interrupt()

    def refuse(self, snapshot: str) -> None:
        """Forget a version that could not be started, unless it is needed, as far as the broker last told."""
        if snapshot not in self._running | self._opened:
            self._end(snapshot)

    def settle(self, current: str) -> list[str]:
        """Bring about what should be: the current version runs, and all that have messages. Those just drained."""
        opened = self._ask_opened()
        for snapshot in sorted({current, *opened} - (self._running & opened)):
            self._try(snapshot)
        return [one for one in sorted(self._running - {current}) if self._drain(one)]

    def draining(self, current: str) -> list[str]:
        """The superseded versions that run."""
        return sorted(self._running - {current})

    def close(self, *, end: bool = True) -> None:
        """End all processes; messages that do not end in time, or did not start, wait on the broker.

        With ``end`` false, version processes go on for the next worker to adopt, if there are any.
        """
        end = end or not any(run["kind"] == "process" for run in self._fleet.processes())
        self._fleet.close(end=self._adopted and end, grace=self._settings.grace + SPARE_SECONDS)
        self._broker.close()
        self._lock.close()

    def _name(self, snapshot: str) -> str:
        """Tells settings apart, too: a process with others than now is not the one that is wanted."""
        return f"{self._app}-{snapshot[:SHORT]}-{hash_json(self._arguments)[:6]}"

    def _try(self, snapshot: str) -> None:
        """Start a version; what fails is told once, and tried again after a while."""
        told, again = self._failures.get(snapshot, ("", 0.0))
        if time.monotonic() < again:
            return
        try:
            self.start(snapshot)
            self._failures.pop(snapshot, None)
        except HotswapError as problem:
            self._failures[snapshot] = (str(problem), time.monotonic() + _AGAIN_SECONDS)
            if str(problem) != told and not self._interrupted:
                self._on_failure(snapshot, str(problem))

    def _drain(self, snapshot: str) -> bool:
        """A broker that has lost its data knows of no message, but the process knows whether it works."""
        if not self._broker.close_version(snapshot) or self._works(snapshot):
            return False
        self._running.discard(snapshot)
        self._end(snapshot)
        return True

    def _works(self, snapshot: str) -> bool:
        for run in self._fleet.processes():
            if run["name"] == self._name(snapshot) and run["alive"]:
                host, port = run["address"]
                try:
                    with wire.Client((host, port), self._secret, timeout=_ASK_SECONDS) as client:
                        return not client.call("idle")
                except TimeoutError:  # it lives, and may be in native code
                    return True
                except (OSError, wire.WireError, RemoteError) as problem:
                    log.debug("%s cannot be asked: %s", run["name"], problem)
        return False

    def _end(self, snapshot: str) -> None:
        """Of a version that nobody needs: its process, its template and its hold."""
        self._fleet.stop(self._name(snapshot), self._settings.grace + SPARE_SECONDS)
        self._fleet.release(snapshot)
        self._release(snapshot)

    def _ask_opened(self) -> set[str]:
        self._opened = self._broker.opened()
        return self._opened

    def _release(self, snapshot: str) -> None:
        with suppress(UnknownSnapshotError):  # collected meanwhile
            if held_for(self._app) in self._store.holds(snapshot):
                self._store.release(snapshot, held_for(self._app))
