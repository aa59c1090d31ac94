"""The managers process as its supervisor sees it: adopted or started, waited for, started again, ended."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hotswap.fleet import restart_delay
from hotswap.process import DeathWatch, Identity
from lab.server.settings import Settings
from lab.services.record import living
from lab.services.service import ServiceError
from lab.settings.config import LabConfig

_READY_SECONDS: Final = 60.0
_GRACE_SECONDS: Final = 5.0
_SHORT_LIFE_SECONDS: Final = 10.0
_MANY_DEATHS: Final = 3
_WINDOW_SECONDS: Final = 600.0

_PREFIX: Final = re.compile(r"^[\d-]+ [\d:,]+ [A-Z]+ [\w.]+: ")

log = logging.getLogger(__name__)


class ManagersProcess:
    """``python -m lab.server`` with these settings; it writes its own record once it answers.

    Once ``ended`` is set it is not started any more, and a start under way is given up. ``alarm`` is told when it ends
    again and again: then it may be unable to raise an alarm itself.
    """

    def __init__(
        self,
        settings: Settings,
        watch: DeathWatch,
        ended: threading.Event,
        alarm: Callable[[str], None] = log.error,
    ) -> None:
        self._settings = settings
        self._watch = watch
        self._state = settings.config.general.state_dir
        self._log = self._state / "logs" / "managers.log"
        self._identity: Identity | None = None
        self._deaths = 0
        self._began = 0.0
        self._restart: threading.Timer | None = None
        self._lock = threading.Lock()  # no restart is arranged once it was told to stop
        self._ended = ended
        self._alarm = alarm
        self._ends: list[float] = []

    def start(self, *, adopt: bool) -> None:
        """Start it and wait until it answers; with ``adopt``, a living one is taken as it is, else ended."""
        known = living(record_of(self._state))
        if known is not None and not adopt:
            _end(known)
            known = None
        identity = known or self._spawn()
        self._identity = identity
        self._began = time.monotonic()
        self._watch.watch(identity, lambda: self._died(identity))

    def stop(self) -> None:
        with self._lock:
            self._ended.set()
            restart = self._restart
        if restart is not None:
            restart.cancel()
            restart.join()
        if self._identity is not None:
            _end(self._identity)
            _reap(self._identity.pid)
        record_of(self._state).unlink(missing_ok=True)

    def url(self) -> str:
        """Where its HTTP API answers."""
        return str(json.loads(record_of(self._state).read_text())["url"])

    def _spawn(self) -> Identity:
        try:
            identity = self._begin()
        except OSError as error:
            raise ServiceError(
                f"The managers could not be started ({error}): {last_line(self._log)} (log: {self._log})"
            ) from error
        self._wait_until_it_answers(identity)
        return identity

    def _begin(self) -> Identity:
        record_of(self._state).unlink(missing_ok=True)
        with self._log.open("ab") as output:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "lab.server"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._state,
                start_new_session=True,
            )
        assert child.stdin
        try:
            with child.stdin as pipe:
                pipe.write(self._settings.model_dump_json().encode())
            identity = Identity.of(child.pid)
        except OSError:  # it ended before it read them
            child.kill()
            child.wait()
            raise
        child.returncode = 0  # reaped where its death is noticed
        return identity

    def _wait_until_it_answers(self, identity: Identity) -> None:
        patience = ready_seconds(self._settings.config)
        deadline = time.monotonic() + patience
        while not record_of(self._state).exists():
            if identity.wait(0.02):
                _reap(identity.pid)
                raise ServiceError(f"The managers ended while starting: {last_line(self._log)} (log: {self._log})")
            if self._ended.is_set() or time.monotonic() > deadline:
                _end(identity)
                _reap(identity.pid)
                why = "were stopped while starting" if self._ended.is_set() else f"do not answer after {patience:g} s"
                raise ServiceError(f"The managers {why}; see {self._log}.")

    def _died(self, identity: Identity) -> None:
        _reap(identity.pid)
        if time.monotonic() - self._began > _SHORT_LIFE_SECONDS:
            self._deaths = 0
        self._start_again_later()

    def _start_again_later(self) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            self._deaths += 1
            self._count_end()
            delay = restart_delay(self._deaths)
            log.warning("The managers ended; they are started again in %g s.", delay)
            self._restart = threading.Timer(delay, self._start_again)
            self._restart.daemon = True
            self._restart.start()

    def _count_end(self) -> None:
        now = time.monotonic()
        self._ends = [*(then for then in self._ends if now - then < _WINDOW_SECONDS), now]
        if len(self._ends) >= _MANY_DEATHS:
            said = last_line(self._log)
            self._alarm(f"The managers ended {len(self._ends)} times within {now - self._ends[0]:.0f} s: {said}")
            self._ends.clear()

    def _start_again(self) -> None:
        if self._ended.is_set():
            return
        try:
            self.start(adopt=True)
        except (ServiceError, OSError) as error:
            log.error("%s", error)  # noqa: TRY400 - the sentence says it
            self._start_again_later()


def ready_seconds(config: LabConfig) -> float:
    """How long managers may take until they answer: the first launch imports the lab's code before."""
    return _READY_SECONDS + config.refresh.template_timeout


def record_of(state_dir: Path) -> Path:
    """Where the managers say who and where they are."""
    return state_dir / "run" / "managers.json"


def last_line(path: Path) -> str:
    """What the last line of a log says, without time, level and logger; empty when there is none."""
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return _PREFIX.sub("", lines[-1]) if lines else ""


def _end(identity: Identity) -> None:
    identity.signal(signal.SIGTERM)
    if not identity.wait(_GRACE_SECONDS):
        identity.kill()
        identity.wait(_GRACE_SECONDS)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        log.debug("Process %d was the child of another supervisor.", pid)
