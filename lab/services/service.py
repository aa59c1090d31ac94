"""A server program we started: launched in its own session, remembered on disk, adopted later, stopped.

The server outlives whoever started it. Its record, ``<state>/run/<name>.json``, lets the next supervisor find it again.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from hotswap.errors import HotswapError
from hotswap.files import write_private
from hotswap.process import Identity
from lab.services.health import answers
from lab.services.record import read_record

LOOPBACK = "127.0.0.1"
_START_SECONDS = 30.0
_RETRY_SECONDS = 0.02
_PORT_SECONDS = 0.5

# Servers that this process started: somebody has to collect their exit status.
_children: dict[int, subprocess.Popen[bytes]] = {}


class ServiceError(HotswapError):
    """An embedded server could not be started or stopped."""


@dataclass(frozen=True)
class Service:
    """A running server; ``url`` may hold a password and is left out of ``repr``."""

    name: str
    identity: Identity
    url: str = field(repr=False)
    state_dir: Path

    @property
    def address(self) -> str:
        """``host:port``, without a password."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port}"


@dataclass(frozen=True)
class Endpoint:
    """What stays the same over restarts of one server, so that its clients come back by themselves."""

    port: int
    password: str = field(repr=False)

    @classmethod
    def choose(cls, state_dir: Path, name: str, *, same_port: bool = False) -> Endpoint:
        """The endpoint this server had last time; another port when somebody else has taken that one.

        With ``same_port``, for a server whose users know its port, it raises ServiceError then.
        """
        path = state_dir / "config" / f"{name}.json"
        known = read_record(path) or {}
        port = known.get("port")
        if port is not None and not _comes_free(port):
            if same_port:
                raise ServiceError(
                    f"The {name} cannot come back at {LOOPBACK}:{port}, where its users look for it: another program "
                    f"has taken that port; end it (`ss -ltnp 'sport = :{port}'` names it)."
                )
            port = None
        endpoint = cls(
            port or _free_port(),
            known.get("password") or secrets.token_urlsafe(24),
        )
        write_private(path, json.dumps({"port": endpoint.port, "password": endpoint.password}))
        return endpoint


def start(
    state_dir: Path, name: str, prepare: Callable[[Endpoint], tuple[Sequence[str], str]], *, same_port: bool = False
) -> Service:
    """Adopt the server ``name`` of ``state_dir``, or start it and wait until it answers.

    ``prepare`` writes the server's configuration for an endpoint and returns its command and its URL.
    Raises ServiceError with the last line of the server's log when it does not come up.
    """
    collect_children()
    known = _load(state_dir, name)
    if known is not None:
        if _responds(known):
            return known
        stop(known, grace=1.0)
    command, url = prepare(Endpoint.choose(state_dir, name, same_port=same_port))
    _save(state_dir, name, url, None)  # whoever starts it may be killed before it can tell which process it is
    service = Service(name, _spawn(state_dir, name, command), url, state_dir)
    _save(state_dir, name, url, service.identity)
    _wait_until_ready(service)
    return service


def adopt(state_dir: Path, name: str) -> Service | None:
    """The server ``name`` that an earlier supervisor started, if it still runs and answers."""
    service = _load(state_dir, name)
    return service if service is not None and _responds(service) else None


def stop(service: Service, grace: float = 5.0) -> None:
    """End the server: ask, wait ``grace`` seconds, then kill. Nothing of it is left but its data and its log."""
    service.identity.signal(signal.SIGTERM)
    if not service.identity.wait(grace):
        service.identity.kill()
        if not service.identity.wait(grace):
            raise ServiceError(
                f"The {service.name} (process {service.identity.pid}) does not end even when killed; "
                "its disk may hang: look at the kernel's log."
            )
    collect_children()
    _record(service.state_dir, service.name).unlink(missing_ok=True)


def collect_children() -> None:
    """Collect the exit status of ended servers that this process started, so that none stays a zombie."""
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            _children.pop(pid, None)


def _spawn(state_dir: Path, name: str, command: Sequence[str]) -> Identity:
    log = _log(state_dir, name)
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=state_dir,
            start_new_session=True,
        )
    _children[child.pid] = child
    try:
        return Identity.of(child.pid)
    except ProcessLookupError:
        _record(state_dir, name).unlink(missing_ok=True)
        raise _startup_error(state_dir, name) from None


def _wait_until_ready(service: Service) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _responds(service):
        if service.identity.wait(_RETRY_SECONDS):
            stop(service)
            raise _startup_error(service.state_dir, service.name)
        if time.monotonic() > deadline:
            stop(service)
            raise ServiceError(
                f"The {service.name} does not answer at {service.address} after {_START_SECONDS:.0f} s; "
                f"see {_log(service.state_dir, service.name)}."
            )


def _startup_error(state_dir: Path, name: str) -> ServiceError:
    log = _log(state_dir, name)
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    said = lines[-1] if lines else "nothing"
    return ServiceError(f"The {name} ended while starting, saying {said!r}; see {log}.")


def _responds(service: Service) -> bool:
    return service.identity.alive() and _accepts(service.url) and answers(service.url)


def _accepts(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or LOOPBACK, parts.port or 0), timeout=1.0).close()
    except OSError:
        return False
    return True


def _save(state_dir: Path, name: str, url: str, identity: Identity | None) -> None:
    process = {"identity": identity.to_dict()} if identity is not None else {}
    write_private(_record(state_dir, name), json.dumps({"name": name, "url": url, **process}))


def _load(state_dir: Path, name: str) -> Service | None:
    record = read_record(_record(state_dir, name))
    if record is None:
        return None
    try:
        known = record.get("identity")
        identity = Identity.from_dict(known) if known else _unrecorded(_log(state_dir, name))
        return Service(record["name"], identity, record["url"], state_dir) if identity is not None else None
    except (KeyError, TypeError, ValueError):
        return None


def _unrecorded(log: Path) -> Identity | None:
    """The server that was started by somebody who was killed then: it leads a session and writes to ``log``."""
    for name in os.listdir("/proc") if log.exists() else ():  # noqa: PTH208 - no Path objects are needed
        with contextlib.suppress(OSError):  # a process that is ending, or is another user's
            if name.isdigit() and os.getsid(int(name)) == int(name) and log.samefile(f"/proc/{name}/fd/1"):
                return Identity.of(int(name))
    return None


def _record(state_dir: Path, name: str) -> Path:
    return state_dir / "run" / f"{name}.json"


def _log(state_dir: Path, name: str) -> Path:
    return state_dir / "logs" / f"{name}.log"


def _comes_free(port: int) -> bool:
    """Whether the port can be taken: the kernel closes the sockets of a killed server a moment after its end."""
    deadline = time.monotonic() + _PORT_SECONDS
    while not _is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(_RETRY_SECONDS)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: what lingers in TIME_WAIT is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
