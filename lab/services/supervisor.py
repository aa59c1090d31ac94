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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from hotswap import wire
from hotswap.errors import HotswapError
from hotswap.files import write_private
from hotswap.fleet import Fleet, Limits, serve_fleet
from hotswap.process import DeathWatch, Identity
from hotswap.store import Store
from lab.alarms.channels import Message, channels_of, tell_now
from lab.server.settings import Settings
from lab.services.broker import start_broker
from lab.services.database import start_database
from lab.services.keeper import Keeper, Start
from lab.services.managers import ManagersProcess, last_line, ready_seconds, record_of
from lab.services.record import living, read_record
from lab.services.service import Service, ServiceError
from lab.settings.config import LabConfig, load
from lab.settings.overrides import forget_secrets

PRELOAD: Final = ("lab.worker", "lab.drivers", "lab.definitions")
DESCRIBE: Final = "lab.definitions:describe"

_PR_SET_CHILD_SUBREAPER: Final = 36
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
    with only_one(config):
        with_secrets = config.revealed()
        forget_secrets(config.model_dump(), os.environ)  # for what is started now: they are told what they need
        Supervisor(with_secrets, say).run()


def stop(config: LabConfig) -> bool:
    """End a laboratory whose managers do not answer; whether there was one. Waits until it has ended."""
    identity = running(config)
    if identity is None:
        return False
    identity.signal(signal.SIGTERM)
    identity.wait(None)
    return True


def take_over(config: LabConfig) -> None:
    """Launch a supervisor for what a killed one left running, if anything. Raises ServiceError."""
    if running(config) is None and left_running(config.general.state_dir / "run"):
        _launch_detached(config, say=log.info)


def running(config: LabConfig) -> Identity | None:
    """The supervisor of this laboratory, if it runs and has started everything."""
    return living(_record(config))


def fleet_address_of(config: LabConfig) -> wire.Address | None:
    """Where the managers look for the fleet of the supervisor that runs, or ran last; None if that is not known."""
    record = read_record(_record(config)) or {}
    try:
        host, port = record["fleet_address"]
    except (KeyError, TypeError, ValueError):
        return None
    return host, port


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
        self._keepers: list[Keeper] = []

    def run(self) -> None:
        """Start everything, then wait for a signal; end everything, whatever happened."""
        _adopt_orphans()
        signal.signal(signal.SIGTERM, lambda *_: self._ended.set())
        signal.signal(signal.SIGINT, lambda *_: self._ended.set())
        secret = token(self._config)
        try:
            self._start_services()
            with self._fleet(secret) as address, self._managers(address) as managers:
                self._say(self._config.simulation.told(self._config.database))
                self._say(f"{self._config.general.name} answers at {managers.url()}")
                self._ended.wait()
                self._say("Stopping.")
        finally:
            self._ended.set()
            self._stop_services()
            self._watch.close()
            _record(self._config).unlink(missing_ok=True)

    def _start_services(self) -> None:
        starts: list[Callable[[], None]] = []
        if self._config.mongodb.uri is None:
            starts.append(partial(self._start_service, "database", start_database))
        if self._config.broker.url is None:
            starts.append(partial(self._start_service, "broker", start_broker))
        _all_at_once(starts)

    def _start_service(self, name: str, start: Start) -> None:
        keeper = Keeper(name, start, self._state, self._watch)
        self._keepers.append(keeper)
        # What an earlier supervisor left running knows the server's address and is not told another.
        service = keeper.start(same_port=_has_users(self._state / "run"))
        self._services[name] = service
        self._say(f"{name} at {service.address}")

    def _stop_services(self) -> None:
        _all_at_once([keeper.stop for keeper in self._keepers])

    @contextmanager
    def _fleet(self, secret: str) -> Iterator[wire.Address]:
        limits = Limits(self._config.refresh.template_timeout, self._config.refresh.template_memory_mb)
        store = Store(self._state / "store")
        run_dir = self._state / "run" / "processes"
        memory = self._config.worker.memory_mb
        fleet = Fleet(
            store, run_dir, secret, hook=DESCRIBE, preload=PRELOAD, limits=limits, memory_mb=memory, strict=True
        )
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

    @contextmanager
    def _managers(self, fleet_address: wire.Address) -> Iterator[ManagersProcess]:
        managers = ManagersProcess(self._settings(fleet_address), self._watch, self._ended, self._alarm)
        managers.start(adopt=fleet_address_of(self._config) == fleet_address)
        record = {"identity": Identity.mine().to_dict(), "fleet_address": list(fleet_address)}
        write_private(_record(self._config), json.dumps(record))
        try:
            yield managers
        finally:
            self._ended.set()
            managers.stop()

    def _alarm(self, text: str) -> None:
        """Tell people outside at once, beside the lab's own alarms."""
        log.error("%s", text)
        config = self._config
        channels = channels_of(config.alarms, simulation=config.general.simulation)
        message = Message(secrets.token_hex(12), f"[{config.general.name}] {text}", text)
        arguments = (channels, message, self._ended.wait)
        threading.Thread(target=tell_now, args=arguments, name="alarm", daemon=True).start()

    def _settings(self, fleet_address: wire.Address) -> Settings:
        return Settings(
            config=self._config,
            mongo_uri=self._config.mongodb.uri or self._services["database"].url,
            database=self._config.database,
            broker_url=self._config.broker.url or self._services["broker"].url,
            fleet_address=fleet_address,
        )


def main() -> None:
    """Run the laboratory whose ``lab.toml`` is named in the argument, as ``launch(detach=True)`` starts it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        launch(load(Path(sys.argv[1])), say=log.info)
    except HotswapError as error:
        sys.exit(str(error))


def _launch_detached(config: LabConfig, say: Say) -> None:
    if running(config) is not None:
        raise _already_running(config)
    _make_folders(config.general.state_dir)
    path = config.general.state_dir / "logs" / "supervisor.log"
    with path.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "lab.services.supervisor", str(config.path)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_launched(config, child, path)
    except BaseException:  # also an interrupt from the keyboard
        child.terminate()
        child.wait()
        raise
    child.returncode = 0  # it outlives us
    url = json.loads((config.general.state_dir / "run" / "managers.json").read_text())["url"]
    say(config.simulation.told(config.database))
    say(f"{config.general.name} answers at {url}")


def _wait_until_launched(config: LabConfig, child: subprocess.Popen[bytes], path: Path) -> None:
    patience = ready_seconds(config)
    deadline = time.monotonic() + patience
    while running(config) is None:
        if child.poll() is not None:
            raise ServiceError(f"The laboratory did not start. {last_line(path)}")
        if time.monotonic() > deadline:
            raise ServiceError(f"The laboratory did not start within {patience:g} s; see {path}.")
        time.sleep(0.02)


@contextmanager
def only_one(config: LabConfig) -> Iterator[None]:
    """Hold the state folder itself, so that there is no lock file to leave behind.

    Raises ServiceError if somebody else holds it.
    """
    state = config.general.state_dir
    _make_folders(state)
    descriptor = os.open(state, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _already_running(config) from None
    else:
        yield
    finally:
        os.close(descriptor)


def left_running(records: Path) -> bool:
    """Whether any process lives of which a record is kept."""
    return any(living(path) for path in records.rglob("*.json"))


def _has_users(run: Path) -> bool:
    """Whether managers, workers or drivers live that use the services."""
    return living(record_of(run.parent)) is not None or left_running(run / "processes")


def _make_folders(state: Path) -> None:
    """Each on its own: the parents that ``mkdir`` makes by itself could be read by everybody."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("logs", "run", "config"):
            (state / name).mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise ServiceError(
            f"The state folder {state} cannot be used ({error.strerror}); let this user write to it, or name another "
            "with general.state_dir in lab.toml or with LAB_STATE_DIR."
        ) from error


def _already_running(config: LabConfig) -> ServiceError:
    return ServiceError(
        f"{config.general.name} runs already with the state folder {config.general.state_dir}; stop it with `lab stop`."
    )


def _record(config: LabConfig) -> Path:
    return config.general.state_dir / "run" / "supervisor.json"


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


def _all_at_once(actions: Sequence[Callable[[], None]]) -> None:
    """Run the actions at the same time and wait for all; raises the first error."""
    errors: list[HotswapError | OSError] = []

    def attempt(action: Callable[[], None]) -> None:
        try:
            action()
        except (HotswapError, OSError) as error:
            errors.append(error)

    threads = [threading.Thread(target=attempt, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


if __name__ == "__main__":
    main()
