"""Driver processes as the device manager reaches them: started when needed, watched, called, stopped."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from blake3 import blake3

from hotswap.process import DeathWatch, Identity
from hotswap.wire import Client
from lab.catalog import Definitions
from lab.records import Binding, Document

log = logging.getLogger(__name__)

ENTRY: Final = "lab.drivers:main"
_SAFE: Final = re.compile(r"[\w-]{1,80}", re.ASCII)
_NAME: Final = re.compile(r"driver-.+-[0-9a-f]{12}")
_GRACE_SECONDS: Final = 5.0
_CRASH_WINDOW_SECONDS: Final = 60.0
_LONGEST_PAUSE: Final = 30.0


class Started(Protocol):
    """What is known of a started process; see ``hotswap.fleet``."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> tuple[str, int]: ...
    @property
    def identity(self) -> Identity: ...


class Fleet(Protocol):
    """The part of ``hotswap.fleet.FleetClient`` that is used here."""

    def ensure(self, name: str, snapshot: str, entry: str, arguments: dict[str, Any]) -> Started: ...
    def stop(self, name: str, grace: float) -> object: ...
    def kill(self, name: str) -> object: ...
    def processes(self) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Driver:
    """One living driver process."""

    name: str
    address: tuple[str, int]
    secret: str

    def call(self, op: str, device: str, *, timeout: float | None = None, **arguments: Any) -> Any:
        """Have it do ``op``; raises RemoteError, ConnectionError or TimeoutError."""
        with Client(self.address, self.secret, timeout=timeout) as client:
            if client.hello["name"] != self.name:
                raise ConnectionRefusedError(f"Not {self.name} but {client.hello['name']} is at {self.address} now.")
            return client.call(op, device=device, **arguments)


def process_name(group: str, snapshot: str) -> str:
    """Also the name of its files, so a group's name that cannot name a file is replaced by its digest."""
    safe = group if _SAFE.fullmatch(group) else blake3(group.encode()).hexdigest(8)
    return f"driver-{safe}-{snapshot[:12]}"


class Drivers:
    """``on_death`` is called, with the name, when a process of ours has ended without being asked to."""

    def __init__(
        self, fleet: Fleet, watch: DeathWatch, secret: str, arguments: Document, on_death: Callable[[str], None]
    ) -> None:
        self._fleet = fleet
        self._watch = watch
        self._secret = secret
        self._arguments = arguments
        self._on_death = on_death
        self._living: dict[str, tuple[Driver, Identity]] = {}
        self._verified: dict[str, set[str]] = {}
        self._deaths: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def verified(self, name: str, device: str) -> bool:
        """Whether the process lives and is known to have the device connected."""
        with self._lock:
            return device in self._verified.get(name, ())

    def verify(self, name: str, device: str) -> None:
        with self._lock:
            if name in self._living:
                self._verified.setdefault(name, set()).add(device)

    def ensure(self, group: str, definitions: Definitions, generation: int) -> Driver:
        """The process of a share group in one code version; started if need be, after a pause if it keeps dying."""
        name = process_name(group, definitions.snapshot)
        with self._lock:
            known = self._living.get(name)
        if known is not None:
            return known[0]
        time.sleep(self._pause(name))
        started = self._fleet.ensure(name, definitions.snapshot, ENTRY, self._describe(group, definitions, generation))
        driver = Driver(name, (started.address[0], started.address[1]), self._secret)
        with self._lock:
            self._living[name] = driver, started.identity
        self._watch.watch(started.identity, partial(self._died, name, started.identity))
        return driver

    def at(self, name: str) -> Driver | None:
        with self._lock:
            known = self._living.get(name)
        return known[0] if known else None

    def bound(self, binding: Binding) -> Driver:
        """The process a device is bound to, which may have ended: as it is known, else where it answered last.

        Managers that have just started know no process before they have looked after its devices.
        """
        host, port = binding["address"]
        return self.at(binding["process"]) or Driver(binding["process"], (host, port), self._secret)

    def names(self) -> list[str]:
        """All driver processes there are, ours or left behind."""
        return [process["name"] for process in self._fleet.processes() if _NAME.fullmatch(process["name"])]

    def stop(self, name: str) -> None:
        """End a process; it disconnects what it holds."""
        self._forget(name)
        self._fleet.stop(name, _GRACE_SECONDS)

    def kill(self, name: str) -> None:
        """End a process that hangs; what it holds is left as it is."""
        self._forget(name)
        self._fleet.kill(name)

    def _forget(self, name: str) -> None:
        with self._lock:
            self._living.pop(name, None)
            self._verified.pop(name, None)

    def _describe(self, group: str, definitions: Definitions, generation: int) -> Document:
        devices = definitions.groups()[group]
        digests = {device: definitions.drivers[device] for device in devices}
        return {**self._arguments, "devices": devices, "drivers": digests, "generation": generation}

    def _died(self, name: str, identity: Identity) -> None:
        with self._lock:
            known = self._living.get(name)
            if known is None or known[1] != identity:
                return
            del self._living[name]
            self._verified.pop(name, None)
            self._deaths.setdefault(name, []).append(time.monotonic())
        log.warning("Driver process %s ended.", name)
        self._on_death(name)

    def deaths(self, name: str) -> int:
        """How often it has ended by itself within the last minute."""
        since = time.monotonic() - _CRASH_WINDOW_SECONDS
        with self._lock:
            return sum(death > since for death in self._deaths.get(name, ()))

    def _pause(self, name: str) -> float:
        """Seconds to wait before starting it: none after a first crash, more and more if it goes on like that."""
        recent = self.deaths(name)
        return min(0.25 * 2.0**recent, _LONGEST_PAUSE) if recent > 1 else 0.0
