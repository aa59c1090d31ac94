"""The supervisor: starts the services, the fleet and the managers of one laboratory, restarts what dies, ends them all.

It holds nothing that a running task needs. When it is killed, everything goes on; the next supervisor adopts what runs.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hotswap import wire
from hotswap.errors import HotswapError
from hotswap.fleet import Fleet, Limits, restart_delay, serve_fleet
from hotswap.process import DeathWatch, Identity
from hotswap.store import Store
from lab.config import LabConfig, load
from lab.server.settings import Settings
from lab.services.broker import start_broker
from lab.services.database import start_database
from lab.services.service import Service, ServiceError, write_private
from lab.services.service import stop as stop_service

PRELOAD: Final = ("lab.worker", "lab.drivers", "lab.definitions")
DESCRIBE: Final = "lab.definitions:describe"

_PR_SET_CHILD_SUBREAPER: Final = 36
_READY_SECONDS: Final = 60.0
_GRACE_SECONDS: Final = 5.0

Say = Callable[[str], None]

log = logging.getLogger(__name__)


def launch(config: LabConfig, detach: bool = False, say: Say = print) -> None:
    """Run the laboratory until it is told to stop; with ``detach``, return once it answers.

    Raises ServiceError when it runs already or cannot start; nothing is left running then.
    """
    if detach:
        _launch_detached(config, say)
        return
    with _only_one(config):
        Supervisor(config, say).run()


def stop(config: LabConfig) -> bool:
    """End a laboratory whose managers do not answer; whether there was one. Waits until it has ended."""
    identity = running(config)
    if identity is None:
        return False
    identity.signal(signal.SIGTERM)
    identity.wait(None)
    return True


def running(config: LabConfig) -> Identity | None:
    """The supervisor of this laboratory, if it runs."""
    try:
        record = json.loads(_record(config).read_text())
    except FileNotFoundError:
        return None
    identity = Identity.from_dict(record["identity"])
    return identity if identity.alive() else None


def token(config: LabConfig) -> str:
    """The secret shared by the processes and the users of this laboratory; drawn at the first launch."""
    path = config.general.state_dir / "token"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32))
    return path.read_text().strip()


class Supervisor:
    """One laboratory's services, fleet and managers."""

    def __init__(self, config: LabConfig, say: Say) -> None:
        self._config = config
        self._state = config.general.state_dir
        self._say = say
        self._ended = threading.Event()
        self._watch = DeathWatch()
        self._services: dict[str, Service] = {}
        self._managers: Identity | None = None
        self._deaths = 0

    def run(self) -> None:
        """Start everything, then wait for a signal; end everything, whatever happened."""
        _adopt_orphans()
        signal.signal(signal.SIGTERM, lambda *_: self._ended.set())
        signal.signal(signal.SIGINT, lambda *_: self._ended.set())
        secret = token(self._config)
        try:
            self._start_services()
            with self._fleet(secret) as address:
                self._start_managers(address)
                self._say(f"{self._config.general.name} answers at {self._url()}")
                self._ended.wait()
                self._say("Stopping.")
                self._stop_managers()
        finally:
            self._stop_services()
            self._watch.close()
            for name in ("supervisor", "managers"):
                (self._state / "run" / f"{name}.json").unlink(missing_ok=True)

    def _start_services(self) -> None:
        starts: list[tuple[str, Callable[[Path], Service]]] = []
        if self._config.mongodb.uri is None:
            starts.append(("database", start_database))
        if self._config.broker.url is None:
            starts.append(("broker", start_broker))
        _all_at_once([lambda start=start: self._start_service(*start) for start in starts])  # type: ignore[misc]

    def _start_service(self, name: str, start: Callable[[Path], Service]) -> None:
        service = start(self._state)
        self._services[name] = service
        self._say(f"{name} at {service.address}")
        self._watch.watch(service.identity, lambda: self._service_died(name, start))

    def _service_died(self, name: str, start: Callable[[Path], Service]) -> None:
        if self._ended.is_set():
            return
        log.warning("The %s ended; it is started again.", name)
        threading.Thread(target=self._start_service, args=(name, start), name=f"start {name}").start()

    def _stop_services(self) -> None:
        _all_at_once([lambda service=service: stop_service(service) for service in self._services.values()])  # type: ignore[misc]

    @contextmanager
    def _fleet(self, secret: str) -> Iterator[wire.Address]:
        limits = Limits(self._config.refresh.template_timeout, self._config.refresh.template_memory_mb)
        store = Store(self._state / "store")
        run_dir = self._state / "run" / "processes"
        fleet = Fleet(store, run_dir, secret, hook=DESCRIBE, preload=PRELOAD, limits=limits)
        listener = _listen_as_before(self._state / "config" / "fleet.json")
        address = wire.address_of(listener)
        server = serve_fleet(fleet, listener, secret)
        thread = threading.Thread(target=server.serve, name="fleet server", daemon=True)
        fleet.adopt()
        thread.start()
        try:
            yield address
        finally:
            server.stop()
            thread.join()
            fleet.close(end=True, grace=_GRACE_SECONDS)

    def _settings(self, fleet_address: wire.Address) -> Settings:
        return Settings(
            config=self._config,
            mongo_uri=self._config.mongodb.uri or self._services["database"].url,
            database=self._config.database,
            broker_url=self._config.broker.url or self._services["broker"].url,
            fleet_address=fleet_address,
        )

    def _start_managers(self, fleet_address: wire.Address) -> None:
        settings = self._settings(fleet_address)
        identity = self._adoptable_managers(fleet_address) or self._spawn_managers(settings)
        self._managers = identity
        self._watch.watch(identity, lambda: self._managers_died(fleet_address))
        write_private(
            _record(self._config),
            json.dumps({"identity": Identity.mine().to_dict(), "fleet_address": list(fleet_address)}),
        )

    def _adoptable_managers(self, fleet_address: wire.Address) -> Identity | None:
        """The managers that an earlier supervisor left running, if they still reach the fleet."""
        try:
            before = json.loads(_record(self._config).read_text())
            known = Identity.from_dict(json.loads(self._managers_record().read_text())["identity"])
        except (FileNotFoundError, KeyError):
            return None
        if not known.alive():
            return None
        if tuple(before.get("fleet_address", ())) == fleet_address:
            return known
        known.signal(signal.SIGTERM)
        known.wait(_GRACE_SECONDS) or known.kill()
        return None

    def _spawn_managers(self, settings: Settings) -> Identity:
        self._managers_record().unlink(missing_ok=True)
        log_path = self._state / "logs" / "managers.log"
        with log_path.open("ab") as output:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "lab.server"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._state,
                start_new_session=True,
            )
        assert child.stdin
        with child.stdin as pipe:
            pipe.write(settings.model_dump_json().encode())
        identity = Identity.of(child.pid)
        child.returncode = 0  # reaped where its death is noticed
        self._wait_for_managers(identity, log_path)
        return identity

    def _wait_for_managers(self, identity: Identity, log_path: Path) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not self._managers_record().exists():
            if identity.wait(0.02):
                lines = log_path.read_text(errors="replace").strip().splitlines()
                raise ServiceError(f"The managers ended while starting, saying {lines[-1:]!r}; see {log_path}.")
            if time.monotonic() > deadline:
                identity.kill()
                raise ServiceError(f"The managers do not answer after {_READY_SECONDS:g} s; see {log_path}.")

    def _managers_died(self, fleet_address: wire.Address) -> None:
        if self._managers is not None:
            _reap(self._managers.pid)
        if self._ended.is_set():
            return
        self._deaths += 1
        delay = restart_delay(self._deaths)
        log.warning("The managers ended; they are started again in %g s.", delay)
        timer = threading.Timer(delay, self._restart_managers, [fleet_address])
        timer.daemon = True
        timer.start()

    def _restart_managers(self, fleet_address: wire.Address) -> None:
        if self._ended.is_set():
            return
        try:
            self._start_managers(fleet_address)
        except ServiceError as error:
            log.error("%s", error)  # noqa: TRY400 - the sentence says it
            self._managers_died(fleet_address)

    def _stop_managers(self) -> None:
        if self._managers is None:
            return
        self._managers.signal(signal.SIGTERM)
        if not self._managers.wait(_GRACE_SECONDS):
            self._managers.kill()
            self._managers.wait(_GRACE_SECONDS)
        _reap(self._managers.pid)

    def _managers_record(self) -> Path:
        return self._state / "run" / "managers.json"

    def _url(self) -> str:
        return str(json.loads(self._managers_record().read_text())["url"])


def _launch_detached(config: LabConfig, say: Say) -> None:
    if running(config) is not None:
        raise _already_running(config)
    path = config.general.state_dir / "logs" / "supervisor.log"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "lab.services.supervisor", str(config.path)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _READY_SECONDS
    while running(config) is None:
        if child.poll() is not None or time.monotonic() > deadline:
            lines = path.read_text(errors="replace").strip().splitlines()
            raise ServiceError(f"The laboratory did not start, saying {''.join(lines[-1:])!r}; see {path}.")
        time.sleep(0.02)
    child.returncode = 0  # it outlives us
    url = json.loads((config.general.state_dir / "run" / "managers.json").read_text())["url"]
    say(f"{config.general.name} answers at {url}")


@contextmanager
def _only_one(config: LabConfig) -> Iterator[None]:
    """Hold the state folder itself, so that there is no lock file to leave behind."""
    state = config.general.state_dir
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    (state / "logs").mkdir(exist_ok=True, mode=0o700)
    descriptor = os.open(state, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _already_running(config) from None
    else:
        yield
    finally:
        os.close(descriptor)


def _already_running(config: LabConfig) -> ServiceError:
    return ServiceError(
        f"{config.general.name} runs already with the state folder {config.general.state_dir}; stop it with `lab stop`."
    )


def _listen_as_before(path: Path) -> socket.socket:
    """Listen where the fleet listened last time, so that managers that run on find it again."""
    try:
        listener = wire.listen(json.loads(path.read_text())["port"])
    except (OSError, ValueError, KeyError):
        listener = wire.listen()
    write_private(path, json.dumps({"port": wire.address_of(listener)[1]}))
    return listener


def _adopt_orphans() -> None:
    """Have version processes whose parent died become children of this process, which reaps them (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        log.debug("Process %d was the child of another supervisor.", pid)


def _record(config: LabConfig) -> Path:
    return config.general.state_dir / "run" / "supervisor.json"


def _all_at_once(actions: list[Callable[[], None]]) -> None:
    """Run the actions at the same time and wait for all; raises the first error."""
    errors: list[HotswapError] = []

    def attempt(action: Callable[[], None]) -> None:
        try:
            action()
        except HotswapError as error:
            errors.append(error)

    threads = [threading.Thread(target=attempt, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def main() -> None:
    """Run the laboratory whose ``lab.toml`` is named in the argument, as ``launch(detach=True)`` starts it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        launch(load(Path(sys.argv[1])), say=log.info)
    except HotswapError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
