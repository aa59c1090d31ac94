"""What a version process is given at birth, and how it serves until it is told to end."""

from __future__ import annotations

import json
import logging
import os
import pkgutil
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from hotswap import wire
from hotswap.process.identity import Identity
from hotswap.process.surroundings import flush

UNCLAIMED_SECONDS: Final = 60.0
"""An idle version process that nobody is connected to for this long ends by itself."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Birth:
    """The plain data that decides what a new version process is; it travels as a BSON document.

    ``entry`` is ``module:function``; ``instance`` is drawn for this process alone and echoed to whoever connects;
    ``spawned_because`` has the reasons, if it is spawned and not forked.
    """

    name: str
    snapshot: str
    package: str
    tree: str
    entry: str
    arguments: dict[str, Any]
    instance: str
    run_dir: str
    secret: str
    spawned_because: list[str] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return Path(self.run_dir) / f"{self.name}.log"


@dataclass(frozen=True)
class Context:
    """What the entry of a version process works with; ``listener`` is bound and listening before it starts."""

    name: str
    snapshot: str
    package: str
    tree: Path
    listener: socket.socket
    secret: str
    instance: str
    arguments: dict[str, Any]

    def hello(self) -> dict[str, Any]:
        return {
            **Identity.mine().to_dict(),
            "name": self.name,
            "snapshot": self.snapshot,
            "instance": self.instance,
        }


def serve(
    context: Context,
    handlers: Mapping[str, Callable[..., Any]],
    idle: Callable[[], bool],
    unclaimed_seconds: float = UNCLAIMED_SECONDS,
) -> None:
    """Serve ``handlers`` and ``stop`` until stopped, or until idle with nobody connected for ``unclaimed_seconds``."""

    def stop() -> None:
        server.stop()

    timer = _Countdown(unclaimed_seconds, idle, stop)
    server = wire.Server(
        context.listener,
        context.secret,
        context.hello(),
        {**handlers, "stop": stop, "identify": context.hello},
        on_connections=timer.connections_changed,
    )
    timer.connections_changed(0)
    server.serve()
    timer.cancel()


class _Countdown:
    """Ends a process that nobody wants any more; starts anew whenever somebody leaves."""

    def __init__(self, seconds: float, idle: Callable[[], bool], end: Callable[[], None]) -> None:
        self._seconds = seconds
        self._idle = idle
        self._end = end
        self._timer: threading.Timer | None = None
        self._lock = threading.RLock()

    def connections_changed(self, count: int) -> None:
        with self._lock:
            self.cancel()
            if count == 0:
                self._start()

    def cancel(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None

    def _start(self) -> None:
        self._timer = timer = threading.Timer(self._seconds, lambda: self._elapsed(timer))
        timer.daemon = True
        timer.start()

    def _elapsed(self, timer: threading.Timer) -> None:
        idle = self._idle()
        with self._lock:
            if self._timer is not timer:  # somebody came while it was asked
                return
            if not idle:
                self._start()
                return
        log.info("Nobody has wanted this process for %g s; it ends.", self._seconds)
        self._end()


def live(birth: Birth, listener: socket.socket) -> None:
    """Run the entry of a new version process to its end, leave an exit record, and end the process. Never returns."""
    context = Context(
        name=birth.name,
        snapshot=birth.snapshot,
        package=birth.package,
        tree=Path(birth.tree),
        listener=listener,
        secret=birth.secret,
        instance=birth.instance,
        arguments=birth.arguments,
    )
    outcome = "returned"
    try:
        pkgutil.resolve_name(birth.entry)(context)
    except BaseException as error:  # the record below is all that anybody will learn of it
        log.exception("%s ended by an error", birth.name)
        outcome = f"{type(error).__name__}: {error}"
    leave_exit_record(birth, outcome)
    flush()
    logging.shutdown()
    os._exit(0 if outcome == "returned" else 1)


def leave_exit_record(birth: Birth, outcome: str) -> None:
    """Write why the process ended beside its log, for whoever comes to look."""
    record = {
        "name": birth.name,
        "snapshot": birth.snapshot,
        "identity": Identity.mine().to_dict(),
        "ended_at": datetime.now(UTC).isoformat(),
        "outcome": outcome,
    }
    (Path(birth.run_dir) / f"{birth.name}.exit.json").write_text(json.dumps(record))
