"""Keeps one embedded server running: started again whenever it ends, where its users know it."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Final, Protocol

from hotswap.fleet import restart_delay
from hotswap.process import DeathWatch
from lab.services.service import Service, ServiceError, stop

_SHORT_LIFE_SECONDS: Final = 10.0

log = logging.getLogger(__name__)


class Start(Protocol):
    """Starts or adopts a server; with ``same_port``, only where it was before."""

    def __call__(self, state_dir: Path, *, same_port: bool) -> Service: ...


class Keeper:
    """One server, from ``start`` to ``stop``. A failed restart is tried again, ever later, until it succeeds."""

    def __init__(self, name: str, start: Start, state_dir: Path, watch: DeathWatch) -> None:
        self._name = name
        self._begin = start
        self._state = state_dir
        self._watch = watch
        self._service: Service | None = None
        self._deaths = 0
        self._began = 0.0
        self._ended = threading.Event()
        self._restart: threading.Thread | None = None
        self._lock = threading.Lock()  # no restart is begun once it was told to stop

    def start(self, *, same_port: bool) -> Service:
        """Start or adopt it, and keep it running from now on. Raises ServiceError, and OSError for a full disk."""
        service = self._begin(self._state, same_port=same_port)
        self._service = service
        self._began = time.monotonic()
        self._watch.watch(service.identity, self._died)
        return service

    def stop(self) -> None:
        """End it, also if it is just being started again."""
        with self._lock:
            self._ended.set()
            restart = self._restart
        if restart is not None:
            restart.join()
        if self._service is not None:
            stop(self._service)

    def _died(self) -> None:
        if time.monotonic() - self._began > _SHORT_LIFE_SECONDS:
            self._deaths = 0
        with self._lock:
            if not self._ended.is_set():
                log.warning("The %s ended; it is started again.", self._name)
                self._restart = threading.Thread(target=self._start_again, name=f"start {self._name}")
                self._restart.start()

    def _start_again(self) -> None:
        self._deaths += 1
        while not self._ended.wait(restart_delay(self._deaths)):
            try:
                self.start(same_port=True)
            except (ServiceError, OSError) as error:
                log.error("%s", error)  # noqa: TRY400 - the sentence says it
                self._deaths += 1
            else:
                return
